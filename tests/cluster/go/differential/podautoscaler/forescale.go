// Stands beside copies of the files of k8s.io/kubernetes/pkg/controller/podautoscaler, made at build time: gives the
// differential test the controller's own unexported arithmetic, unchanged.
package podautoscaler

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// Dated is a recommendation or a change in replicas, so many seconds ago.
type Dated struct {
	AgeSeconds int32 `json:"age_seconds"`
	Replicas   int32 `json:"replicas"`
}

// TolerancesOf makes Tolerances.
func TolerancesOf(down, up float64) Tolerances { return Tolerances{scaleDown: down, scaleUp: up} }

// Normalize runs normalizeDesiredReplicasWithBehaviors with the given memory of the controller.
func Normalize(hpa *autoscalingv2.HorizontalPodAutoscaler, current, desired, least int32, recommendations, ups, downs []Dated) int32 {
	const key = "forescale/differential"
	now := time.Now()
	events := func(dated []Dated) []timestampedScaleEvent {
		out := make([]timestampedScaleEvent, 0, len(dated))
		for _, d := range dated {
			// half a second keeps ages that equal a period on one side whatever the machine's speed
			out = append(out, timestampedScaleEvent{d.Replicas, now.Add(-time.Duration(d.AgeSeconds)*time.Second - 500*time.Millisecond), false})
		}
		return out
	}
	a := &HorizontalController{
		downscaleStabilisationWindow: 300 * time.Second,
		recommendations:              map[string][]timestampedRecommendation{},
		scaleUpEvents:                map[string][]timestampedScaleEvent{key: events(ups)},
		scaleDownEvents:              map[string][]timestampedScaleEvent{key: events(downs)},
	}
	for _, d := range recommendations {
		at := now.Add(-time.Duration(d.AgeSeconds)*time.Second - 500*time.Millisecond)
		a.recommendations[key] = append(a.recommendations[key], timestampedRecommendation{d.Replicas, at})
	}
	return a.normalizeDesiredReplicasWithBehaviors(hpa, key, current, desired, least)
}
