// Command budgets prints random lists of disruption budgets with what Karpenter's own code makes of them at some
// instant, a JSON object a line:
//
//	budgets SEED N
//
// It lies in the module that the bed builds Karpenter from, so that both are the same version.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/robfig/cron/v3"
	"k8s.io/klog/v2"
	clock "k8s.io/utils/clock/testing"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

// Case is one question.
type Case struct {
	Kind    string           `json:"kind"`
	Budgets []map[string]any `json:"budgets"`
	At      int64            `json:"at_ms"`
	Nodes   int              `json:"nodes"`
	// Active: of each entry; null: its schedule cannot be read.
	Active []*bool `json:"active"`
	// Allowed: how many nodes may go, by reason; 2147483647 is no limit.
	Allowed map[string]int `json:"allowed"`
}

var reasons = []string{"Underutilized", "Empty", "Drifted"}

func one[T any](r *rand.Rand, of ...T) T { return of[r.Intn(len(of))] }

func field(r *rand.Rand, low, high int, names ...string) string {
	value := func(v int) string {
		if v-low < len(names) && r.Intn(3) == 0 {
			return names[v-low]
		}
		return strconv.Itoa(v)
	}
	within := func() int { return low + r.Intn(high-low+1) }
	part := func() string {
		a, b := within(), within()
		if a > b && r.Intn(30) != 0 {
			a, b = b, a
		}
		switch r.Intn(12) {
		case 0:
			return "*/" + strconv.Itoa(1+r.Intn(high+3))
		case 1:
			return value(a) + "/" + strconv.Itoa(1+r.Intn(high))
		case 2, 3:
			return value(a) + "-" + value(b)
		case 4:
			return value(a) + "-" + value(b) + "/" + strconv.Itoa(1+r.Intn(6))
		case 5:
			if r.Intn(15) == 0 {
				return one(r, "?", "x", "-1", strconv.Itoa(high+1), "1-", "1/0")
			}
		}
		return value(a)
	}
	out := part()
	for r.Intn(4) == 0 {
		out += "," + part()
	}
	return out
}

func schedule(r *rand.Rand) string {
	star := func(odds int, text string) string {
		if r.Intn(odds) != 0 {
			return "*"
		}
		return text
	}
	switch r.Intn(20) {
	case 0:
		return one(r, "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
	case 1:
		// what the API takes and Karpenter does not, and dates that hardly or never come
		return one(r, "0 19-7 * * *", "CRON_TZ=UTC 0 9 * * *", "TZ=Europe/Berlin 0 9 * * *", "0 0 9 * * *", "0 0 * * 7", "0 25 * * *",
			"@daily junk", "@hourlyjunk", "@every 1h x x x", "0 0 31 2 *", "0 0 30 feb *", "0 0 29 2 *", "0 0 29 2 1",
			" 0 9 * * * ", "0  9\t* * *", "0 0 L * *", "0 0 * * 1#2", "")
	case 2, 3, 4, 5, 6, 7:
		// dated, as a guard is
		return fmt.Sprintf("%d %d %d %d *", r.Intn(60), r.Intn(24), 1+r.Intn(31), 1+r.Intn(12))
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	return strings.Join([]string{field(r, 0, 59), star(2, field(r, 0, 23)), star(3, field(r, 1, 31)),
		star(4, field(r, 1, 12, months...)), star(3, field(r, 0, 6, days...))}, " ")
}

func duration(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0:
		return fmt.Sprintf("%dh%dm", r.Intn(30), r.Intn(60))
	case 1:
		return fmt.Sprintf("%dm0s", r.Intn(3000))
	case 2:
		return one(r, "0m", "0h", "0h0m0s", "1m", "24h", "168h", "744h", "8784h", "87600h", "2562047h")
	case 3, 4:
		return fmt.Sprintf("%dh", 1+r.Intn(48))
	}
	return fmt.Sprintf("%dm", 1+r.Intn(600))
}

func budget(r *rand.Rand) map[string]any {
	b := map[string]any{}
	switch r.Intn(6) {
	case 0:
		b["nodes"] = one(r, "0", "00", "007", "0%", "00%", "1%", "99%", "100%", "2147483647", "2147483648", "4294967295", "4294967296",
			"4294967301", "9223372036854775807", "9223372036854775808", "99999999999999999999999")
	case 1, 2:
		b["nodes"] = strconv.Itoa(r.Intn(101)) + "%"
	default:
		b["nodes"] = strconv.Itoa(r.Intn(25))
	}
	if r.Intn(2) == 0 {
		chosen := []string{}
		for _, reason := range reasons {
			if r.Intn(2) == 0 {
				chosen = append(chosen, reason)
			}
		}
		b["reasons"] = chosen
	}
	if r.Intn(5) != 0 {
		// the API wants both or none; what is stored by other ways may have one
		if r.Intn(40) != 0 {
			b["schedule"] = schedule(r)
		}
		if r.Intn(40) != 0 {
			b["duration"] = duration(r)
		}
	}
	return b
}

// instant is some second of the century, mostly one at which an entry begins or ends, or just beside; before 2095, because
// the Rust side's calendar ends with 2100 and robfig looks five years ahead.
func instant(r *rand.Rand, budgets []v1.Budget) time.Time {
	at := time.Unix(1_600_000_000+r.Int63n(1_000_000_000), 0).UTC()
	if r.Intn(20) == 0 {
		at = time.Date(2052, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int63n(42*365*86400)) * time.Second)
	}
	if len(budgets) > 0 && r.Intn(4) != 0 {
		b := budgets[r.Intn(len(budgets))]
		if b.Schedule != nil {
			if parsed, err := cron.ParseStandard("TZ=UTC " + *b.Schedule); err == nil {
				if hit := parsed.Next(at); !hit.IsZero() {
					at = hit
					if b.Duration != nil && b.Duration.Duration < 10*365*24*time.Hour && r.Intn(2) == 0 {
						at = at.Add(b.Duration.Duration)
					}
					at = at.Add(time.Duration(r.Intn(5)-2) * time.Second)
				}
			}
		}
	}
	return at.Add(one[time.Duration](r, 0, 0, 1, 500, 999) * time.Millisecond)
}

func random(r *rand.Rand) Case {
	c := Case{Kind: "budgets", Budgets: []map[string]any{}, Active: []*bool{}, Allowed: map[string]int{}}
	count := r.Intn(5)
	if r.Intn(100) == 0 {
		count = 50
	}
	for i := 0; i < count; i++ {
		c.Budgets = append(c.Budgets, budget(r))
	}
	c.Nodes = one(r, 0, 1, r.Intn(12), r.Intn(12), r.Intn(200), r.Intn(5000), 100_000)
	text, err := json.Marshal(c.Budgets)
	if err != nil {
		panic(err)
	}
	pool := &v1.NodePool{}
	if err := json.Unmarshal(text, &pool.Spec.Disruption.Budgets); err != nil {
		panic(err)
	}
	at := instant(r, pool.Spec.Disruption.Budgets)
	c.At = at.UnixMilli()
	now := clock.NewFakeClock(at)
	for _, b := range pool.Spec.Disruption.Budgets {
		active, err := b.IsActive(now)
		if err != nil {
			c.Active = append(c.Active, nil)
		} else {
			c.Active = append(c.Active, &active)
		}
	}
	for _, reason := range reasons {
		// a number beyond 32 bits wraps around, and less than none is none
		c.Allowed[reason] = max(0, pool.MustGetAllowedDisruptions(now, c.Nodes, v1.DisruptionReason(reason)))
	}
	return c
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: budgets SEED N")
		os.Exit(2)
	}
	seed, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	// it complains of every number beyond 32 bits
	klog.SetLogger(logr.Discard())
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	r := rand.New(rand.NewSource(seed))
	for i := 0; i < n; i++ {
		if err := encoder.Encode(random(r)); err != nil {
			panic(err)
		}
	}
}
