{{/* The flags for reaching Prometheus. A text like $(NAME) would be replaced in the arguments of a container. */}}
{{- define "spillway.prometheusArgs" -}}
{{- $given := .Values.prometheus }}
{{- with $given.url }}
- {{ printf "--prometheus-url=%s" . | replace "$(" "$$(" | quote }}
{{- end }}
{{- range $label, $value := $given.matchers }}
- {{ printf "--prometheus-matcher=%s=%s" $label $value | replace "$(" "$$(" | quote }}
{{- end }}
{{- range $name, $value := $given.headers }}
- {{ printf "--prometheus-header=%s=%s" $name $value | replace "$(" "$$(" | quote }}
{{- end }}
{{- if $given.tokenSecret.name }}
- --prometheus-token-file=/etc/spillway/prometheus-token/{{ $given.tokenSecret.key }}
{{- end }}
{{- with $given.basicAuthSecret }}
{{- if .name }}
- --prometheus-username-file=/etc/spillway/prometheus-user/{{ .usernameKey }}
- --prometheus-password-file=/etc/spillway/prometheus-user/{{ .passwordKey }}
{{- end }}
{{- end }}
{{- with $given.tls.ca }}
{{- if or .configMap .secret }}
- --prometheus-ca-file=/etc/spillway/prometheus-ca/{{ .key }}
{{- end }}
{{- end }}
{{- with $given.tls.clientSecret }}
{{- if .name }}
- --prometheus-cert-file=/etc/spillway/prometheus-client/{{ .certKey }}
- --prometheus-key-file=/etc/spillway/prometheus-client/{{ .keyKey }}
{{- end }}
{{- end }}
{{- with $given.tls.serverName }}
- --prometheus-server-name={{ . }}
{{- end }}
{{- end -}}

{{/* The volumes with the files of these flags. */}}
{{- define "spillway.prometheusFiles" -}}
{{- $given := .Values.prometheus }}
{{- if and $given.tokenSecret.name $given.basicAuthSecret.name }}
{{- fail "prometheus: give either tokenSecret or basicAuthSecret" }}
{{- end }}
{{- if and $given.tls.ca.configMap $given.tls.ca.secret }}
{{- fail "prometheus.tls.ca: give either configMap or secret" }}
{{- end }}
{{- if and (or $given.tls.ca.configMap $given.tls.ca.secret $given.tls.clientSecret.name $given.tls.serverName) (not (hasPrefix "https://" $given.url)) }}
{{- fail "prometheus.tls needs a prometheus.url that begins with https://" }}
{{- end }}
{{- with $given.tokenSecret.name }}
- name: prometheus-token
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $given.basicAuthSecret.name }}
- name: prometheus-user
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $given.tls.ca.configMap }}
- name: prometheus-ca
  configMap:
    name: {{ . }}
{{- end }}
{{- with $given.tls.ca.secret }}
- name: prometheus-ca
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $given.tls.clientSecret.name }}
- name: prometheus-client
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}
