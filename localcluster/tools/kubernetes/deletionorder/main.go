// Command deletionorder ranks pods as the ReplicaSet controller of this Kubernetes deletes them, with the controller's
// own code. It reads one JSON object a line from standard input and writes one a line to standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"time"
	_ "unsafe"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/replicaset"
)

// The two functions by which the controller prepares its ranking are not exported.

//go:linkname relatedPods k8s.io/kubernetes/pkg/controller/replicaset.(*ReplicaSetController).getIndirectlyRelatedPods
func relatedPods(rsc *replicaset.ReplicaSetController, logger klog.Logger, rs *appsv1.ReplicaSet) ([]*corev1.Pod, error)

//go:linkname ranked k8s.io/kubernetes/pkg/controller/replicaset.getPodsRankedByRelatedPodsOnSameNode
func ranked(podsToRank, relatedPods []*corev1.Pod) controller.ActivePodsWithRanks

// question is one ReplicaSet that is scaled down at a moment, and everything that its controller sees.
type question struct {
	Now         time.Time           `json:"now"`
	Target      types.UID           `json:"target"`
	ReplicaSets []appsv1.ReplicaSet `json:"replicaSets"`
	Pods        []corev1.Pod        `json:"pods"`
}

// answer has the target's active pods in the order in which they are deleted, and, for each two of them, whether the
// first is preferred for deletion ("1") or not ("0"), as one row for each of `pods`.
type answer struct {
	Order []types.UID `json:"order"`
	Pods  []types.UID `json:"pods"`
	Less  []string    `json:"less"`
}

type ranker struct {
	controller  *replicaset.ReplicaSetController
	replicaSets cache.Indexer
	pods        cache.Indexer
}

// newRanker makes a controller that is never run: its caches are filled by hand, and it never calls the API server.
func newRanker() *ranker {
	client := kubernetes.NewForConfigOrDie(&rest.Config{Host: "localhost:0"})
	factory := informers.NewSharedInformerFactory(client, 0)
	replicaSets, pods := factory.Apps().V1().ReplicaSets(), factory.Core().V1().Pods()
	return &ranker{
		controller:  replicaset.NewReplicaSetController(context.Background(), replicaSets, pods, client, 1),
		replicaSets: replicaSets.Informer().GetIndexer(),
		pods:        pods.Informer().GetIndexer(),
	}
}

func (r *ranker) rank(asked question) (*answer, error) {
	var target *appsv1.ReplicaSet
	var replicaSets, pods []any
	var own []*corev1.Pod
	for i := range asked.ReplicaSets {
		replicaSets = append(replicaSets, &asked.ReplicaSets[i])
		if asked.ReplicaSets[i].UID == asked.Target {
			target = &asked.ReplicaSets[i]
		}
	}
	if target == nil {
		return nil, fmt.Errorf("there is no ReplicaSet %s", asked.Target)
	}
	for i := range asked.Pods {
		pods = append(pods, &asked.Pods[i])
		if metav1.IsControlledBy(&asked.Pods[i], target) && controller.IsPodActive(&asked.Pods[i]) {
			own = append(own, &asked.Pods[i])
		}
	}
	if err := r.replicaSets.Replace(replicaSets, ""); err != nil {
		return nil, err
	}
	if err := r.pods.Replace(pods, ""); err != nil {
		return nil, err
	}
	related, err := relatedPods(r.controller, klog.Background(), target)
	if err != nil {
		return nil, err
	}
	ranking := ranked(own, related)
	ranking.Now = metav1.NewTime(asked.Now)
	found := &answer{Pods: uids(own), Less: []string{}}
	for i := range own {
		row := make([]byte, len(own))
		for j := range own {
			row[j] = '0'
			if ranking.Less(i, j) {
				row[j] = '1'
			}
		}
		found.Less = append(found.Less, string(row))
	}
	ranking.Pods, ranking.Rank = slices.Clone(ranking.Pods), slices.Clone(ranking.Rank)
	sort.Sort(ranking)
	found.Order = uids(ranking.Pods)
	return found, nil
}

func uids(pods []*corev1.Pod) []types.UID {
	found := make([]types.UID, len(pods))
	for i, pod := range pods {
		found[i] = pod.UID
	}
	return found
}

func run(in io.Reader, out io.Writer) error {
	ranker := newRanker()
	questions, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var asked question
		if err := questions.Decode(&asked); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		found, err := ranker.rank(asked)
		if err != nil {
			return err
		}
		if err := answers.Encode(found); err != nil {
			return err
		}
	}
}

func main() {
	// The controller reports each ReplicaSet without an owner as an error; here it is what is asked about.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	out := bufio.NewWriter(os.Stdout)
	if err := run(os.Stdin, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := out.Flush(); err != nil {
		os.Exit(1)
	}
}
