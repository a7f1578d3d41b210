// Command noopwebhook is an admission webhook that allows every request: the least that any webhook costs.
//
//	noopwebhook HOST:PORT CERTIFICATE KEY
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    *struct {
		UID string `json:"uid"`
	} `json:"request,omitempty"`
	Response *response `json:"response,omitempty"`
}

type response struct {
	UID     string `json:"uid"`
	Allowed bool   `json:"allowed"`
}

func allow(writer http.ResponseWriter, request *http.Request) {
	var asked review
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil || asked.Request == nil {
		http.Error(writer, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	asked.Response = &response{UID: asked.Request.UID, Allowed: true}
	asked.Request = nil
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(asked)
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: noopwebhook HOST:PORT CERTIFICATE KEY")
		os.Exit(2)
	}
	if err := http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], http.HandlerFunc(allow)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
