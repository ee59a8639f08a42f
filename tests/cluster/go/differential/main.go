// Command differential prints random cases with what the real code makes of them, a JSON object a line:
//
//	differential cases SEED N    N of each kind: Kubernetes' replica calculator and behaviours
//	                             (k8s.io/kubernetes/pkg/controller/podautoscaler), and robfig/cron/v3
//
// The Rust side reads the lines, computes its own answers, and fails on the first difference.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"forescale.dev/tests/differential/podautoscaler"
	"github.com/robfig/cron/v3"
	autoscaling "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// Pod is one pod as the calculator groups it.
type Pod struct {
	State string `json:"state"` // ready, missing, unready
	Value int64  `json:"value"` // milli-units
}

// MetricCase is one question to the replica calculator.
type MetricCase struct {
	Kind    string  `json:"kind"` // pods, utilization, external-per-pod
	Pods    []Pod   `json:"pods"`
	Request int64   `json:"request"` // milli-cores of each pod; utilization only
	Target  int64   `json:"target"`  // milli-units per pod, or percent
	Current int32   `json:"current"`
	Down    float64 `json:"tolerance_down"`
	Up      float64 `json:"tolerance_up"`
	Want    *int32  `json:"want"` // null: an error of the metric
}

// Rules is one direction of a behaviour.
type Rules struct {
	Window   int32    `json:"window_seconds"`
	Select   string   `json:"select"` // Max, Min, Disabled
	Policies []Policy `json:"policies"`
}

// Policy is one scaling policy.
type Policy struct {
	Type   string `json:"type"` // Pods, Percent
	Value  int32  `json:"value"`
	Period int32  `json:"period_seconds"`
}

// BehaviourCase is one question to the behaviours.
type BehaviourCase struct {
	Kind            string                `json:"kind"`
	Current         int32                 `json:"current"`
	Desired         int32                 `json:"desired"`
	Min             int32                 `json:"min"`
	Max             int32                 `json:"max"`
	Up              Rules                 `json:"up"`
	Down            Rules                 `json:"down"`
	Recommendations []podautoscaler.Dated `json:"recommendations"`
	Ups             []podautoscaler.Dated `json:"ups"`
	Downs           []podautoscaler.Dated `json:"downs"`
	Want            int32                 `json:"want"`
}

type fakeMetrics struct {
	pods     metricsclient.PodMetricsInfo
	external []int64
}

func (f fakeMetrics) GetResourceMetric(context.Context, v1.ResourceName, string, labels.Selector, string) (metricsclient.PodMetricsInfo, time.Time, error) {
	return f.copied(), time.Now(), nil
}
func (f fakeMetrics) GetRawMetric(string, string, labels.Selector, labels.Selector) (metricsclient.PodMetricsInfo, time.Time, error) {
	return f.copied(), time.Now(), nil
}
func (f fakeMetrics) GetObjectMetric(string, string, *autoscaling.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Now(), nil
}
func (f fakeMetrics) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	return f.external, time.Now(), nil
}
func (f fakeMetrics) copied() metricsclient.PodMetricsInfo {
	out := metricsclient.PodMetricsInfo{}
	for k, v := range f.pods {
		out[k] = v
	}
	return out
}

func metricCase(r *rand.Rand) MetricCase {
	c := MetricCase{Kind: []string{"pods", "utilization", "external-per-pod"}[r.Intn(3)]}
	tolerances := []float64{0.1, 0.1, 0, 0.05, 0.5}
	c.Down, c.Up = tolerances[r.Intn(len(tolerances))], tolerances[r.Intn(len(tolerances))]
	count := 1 + r.Intn(12)
	if r.Intn(10) == 0 {
		count = 1 + r.Intn(300)
	}
	c.Request = int64(100 * (1 + r.Intn(20)))
	c.Target = int64(10 + r.Intn(100))
	base := c.Target * c.Request / 100
	if c.Kind != "utilization" {
		c.Target = int64(1000 * (1 + r.Intn(100)))
		base = c.Target
	}
	level := r.ExpFloat64()
	if r.Intn(4) == 0 {
		level = 0.85 + 0.3*r.Float64() // near the tolerance
	}
	missing, unready := 0.0, 0.0
	if r.Intn(2) == 0 {
		missing = r.Float64() * 0.6
	}
	if r.Intn(2) == 0 {
		unready = r.Float64() * 0.6
	}
	for i := 0; i < count; i++ {
		p := Pod{State: "ready", Value: int64(float64(base) * level * (0.5 + r.Float64()))}
		if x := r.Float64(); x < missing {
			p = Pod{State: "missing"}
		} else if x < missing+unready {
			p.State = "unready"
		}
		if r.Intn(50) == 0 {
			p.Value = 0
		}
		c.Pods = append(c.Pods, p)
	}
	c.Current = int32(count)
	if r.Intn(4) == 0 {
		c.Current = int32(1 + r.Intn(2*count))
	}
	c.Want = answer(c)
	return c
}

func answer(c MetricCase) *int32 {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	info := metricsclient.PodMetricsInfo{}
	external := []int64{}
	old := metav1.NewTime(time.Now().Add(-time.Hour))
	for i, p := range c.Pods {
		name := "p" + strconv.Itoa(i)
		pod := &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "n"},
			Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{
				Requests: v1.ResourceList{v1.ResourceCPU: *resource.NewMilliQuantity(c.Request, resource.DecimalSI)}}}}},
			Status: v1.PodStatus{Phase: v1.PodRunning, StartTime: &old, Conditions: []v1.PodCondition{
				{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: old}}},
		}
		switch p.State {
		case "unready":
			pod.Status.Phase = v1.PodPending
		case "missing":
		}
		if p.State != "missing" {
			info[name] = metricsclient.PodMetric{Timestamp: time.Now(), Window: time.Minute, Value: p.Value}
		}
		external = append(external, p.Value)
		if err := indexer.Add(pod); err != nil {
			panic(err)
		}
	}
	calculator := podautoscaler.NewReplicaCalculator(fakeMetrics{info, external}, corelisters.NewPodLister(indexer), 5*time.Minute, 30*time.Second)
	tolerances := podautoscaler.TolerancesOf(c.Down, c.Up)
	var want int32
	var err error
	switch c.Kind {
	case "pods":
		want, _, _, err = calculator.GetMetricReplicas(c.Current, c.Target, "m", tolerances, "n", labels.Everything(), nil)
	case "utilization":
		want, _, _, _, err = calculator.GetResourceReplicas(context.Background(), c.Current, int32(c.Target), v1.ResourceCPU, tolerances, "n", labels.Everything(), "")
	default:
		want, _, _, err = calculator.GetExternalPerPodMetricReplicas(c.Current, c.Target, "m", tolerances, "n", &metav1.LabelSelector{})
	}
	if err != nil {
		return nil
	}
	return &want
}

func rules(r *rand.Rand, up bool) Rules {
	out := Rules{Select: []string{"Max", "Max", "Min", "Disabled"}[r.Intn(4)]}
	if r.Intn(8) != 0 && out.Select == "Disabled" {
		out.Select = "Max"
	}
	windows := []int32{0, 0, 15, 60, 300, 600}
	out.Window = windows[r.Intn(len(windows))]
	for i := 1 + r.Intn(3); i > 0; i-- {
		p := Policy{Type: "Pods", Value: int32(1 + r.Intn(20)), Period: []int32{15, 30, 60, 300}[r.Intn(4)]}
		if r.Intn(2) == 0 {
			p.Type, p.Value = "Percent", int32(1+r.Intn(100))
			if up {
				p.Value = int32(1 + r.Intn(300))
			}
		}
		out.Policies = append(out.Policies, p)
	}
	return out
}

func (r Rules) api() *autoscaling.HPAScalingRules {
	selected := map[string]autoscaling.ScalingPolicySelect{"Max": autoscaling.MaxChangePolicySelect,
		"Min": autoscaling.MinChangePolicySelect, "Disabled": autoscaling.DisabledPolicySelect}[r.Select]
	window := r.Window
	out := &autoscaling.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &selected}
	for _, p := range r.Policies {
		out.Policies = append(out.Policies, autoscaling.HPAScalingPolicy{
			Type: autoscaling.HPAScalingPolicyType(p.Type), Value: p.Value, PeriodSeconds: p.Period})
	}
	return out
}

func dated(r *rand.Rand, replicas int32, most int) []podautoscaler.Dated {
	out := []podautoscaler.Dated{}
	for i := r.Intn(most + 1); i > 0; i-- {
		out = append(out, podautoscaler.Dated{AgeSeconds: int32(r.Intn(700)), Replicas: int32(r.Intn(int(replicas)) + 1)})
	}
	return out
}

func behaviourCase(r *rand.Rand) BehaviourCase {
	c := BehaviourCase{Kind: "behaviour", Current: int32(1 + r.Intn(100)), Min: int32(1 + r.Intn(10))}
	c.Max = c.Min + int32(r.Intn(150))
	// outside the bounds the controller doesn't ask its behaviours
	c.Current = min(max(c.Current, c.Min), c.Max)
	c.Desired = int32(1 + r.Intn(160))
	c.Up, c.Down = rules(r, true), rules(r, false)
	c.Recommendations = dated(r, 150, 8)
	c.Ups, c.Downs = dated(r, max(1, c.Current/2), 3), dated(r, 20, 3)
	hpa := &autoscaling.HorizontalPodAutoscaler{Spec: autoscaling.HorizontalPodAutoscalerSpec{
		MinReplicas: &c.Min, MaxReplicas: c.Max,
		Behavior: &autoscaling.HorizontalPodAutoscalerBehavior{ScaleUp: c.Up.api(), ScaleDown: c.Down.api()}}}
	c.Want = podautoscaler.Normalize(hpa, c.Current, c.Desired, c.Min, c.Recommendations, c.Ups, c.Downs)
	return c
}

// CronCase is one window of a minute: an expression in a zone, and whether it is active at some instants.
type CronCase struct {
	Kind    string   `json:"kind"`
	Zone    string   `json:"zone"`
	Spec    string   `json:"spec"`
	Error   string   `json:"error"` // empty: robfig accepts it and it hits some day
	Samples []Sample `json:"samples"`
}

// Sample is an instant in seconds since the epoch.
type Sample struct {
	At     int64 `json:"at"`
	Active bool  `json:"active"`
}

// Two of the zones shift by an hour, one by half an hour, one is half an hour off without shifting.
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"}

func field(r *rand.Rand, low, high int, names []string) string {
	value := func(v int) string {
		if names != nil && v-low < len(names) && r.Intn(3) == 0 {
			return names[v-low]
		}
		return strconv.Itoa(v)
	}
	within := func() int { return low + r.Intn(high-low+1) }
	part := func() string {
		switch r.Intn(9) {
		case 0:
			return "*/" + strconv.Itoa(1+r.Intn(high+3))
		case 1:
			return value(within()) + "/" + strconv.Itoa(1+r.Intn(high))
		case 2, 3:
			a, b := within(), within()
			if a > b && r.Intn(8) != 0 {
				a, b = b, a
			}
			return value(a) + "-" + value(b)
		case 4:
			a, b := within(), within()
			return strconv.Itoa(min(a, b)) + "-" + strconv.Itoa(max(a, b)) + "/" + strconv.Itoa(1+r.Intn(6))
		case 5:
			if r.Intn(12) == 0 {
				return []string{"?", "x", "-1", strconv.Itoa(high + 1), "1-", "", "1/0"}[r.Intn(7)]
			}
		}
		return value(within())
	}
	out := part()
	for r.Intn(4) == 0 {
		out += "," + part()
	}
	return out
}

func cronCase(r *rand.Rand) CronCase {
	star := func(odds int, text string) string {
		if r.Intn(odds) == 0 {
			return "*"
		}
		return text
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	c := CronCase{Kind: "cron", Zone: zones[r.Intn(len(zones))], Samples: []Sample{}}
	c.Spec = strings.Join([]string{star(6, field(r, 0, 59, nil)), star(3, field(r, 0, 23, nil)),
		star(2, field(r, 1, 31, nil)), star(2, field(r, 1, 12, months)), star(2, field(r, 0, 6, days))}, " ")
	if r.Intn(40) == 0 {
		c.Spec = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}[r.Intn(7)]
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		panic(err)
	}
	schedule, err := cron.ParseStandard("TZ=" + c.Zone + " " + c.Spec)
	if err != nil {
		c.Error = err.Error()
		return c
	}
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if schedule.Next(first).IsZero() {
		c.Error = "never"
		return c
	}
	sample := func(at time.Time) {
		_, before := at.Add(-4 * time.Hour).In(zone).Zone()
		_, after := at.Add(4 * time.Hour).In(zone).Zone()
		// what a window does when the clocks change is our own rule, with tests of its own
		if before == after {
			next := schedule.Next(at.Add(-time.Minute))
			c.Samples = append(c.Samples, Sample{at.Unix(), !next.IsZero() && !next.After(at)})
		}
	}
	for i := 0; i < 20; i++ {
		at := first.Add(time.Duration(r.Intn(2*365*24*60)) * time.Minute)
		sample(at)
		if hit := schedule.Next(at); !hit.IsZero() && hit.Before(first.AddDate(2, 0, 0)) {
			sample(hit)
			sample(hit.Add(-time.Minute))
			sample(hit.Add(time.Minute))
		}
	}
	return c
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	print := func(v any) {
		if err := encoder.Encode(v); err != nil {
			panic(err)
		}
	}
	switch {
	case len(os.Args) == 4 && os.Args[1] == "cases":
		seed, err := strconv.ParseInt(os.Args[2], 10, 64)
		if err != nil {
			panic(err)
		}
		n, err := strconv.Atoi(os.Args[3])
		if err != nil {
			panic(err)
		}
		r := rand.New(rand.NewSource(seed))
		for i := 0; i < n; i++ {
			print(metricCase(r))
			print(behaviourCase(r))
			print(cronCase(r))
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: differential cases SEED N")
		os.Exit(2)
	}
}
