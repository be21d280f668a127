// Command autoscaler is Knative's own side of what slotgate tells it, without a cluster: its server
// that takes statistics over WebSockets, its decoder, its averages and its decisions for one revision,
// whose pods come up as soon as they are wanted. Each message that comes, and each scale that is
// decided, is printed as a line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/serving/pkg/apis/autoscaling/v1alpha1"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/scaling"
	"knative.dev/serving/pkg/autoscaler/statserver"
)

type pods struct {
	mutex sync.Mutex
	count int
}

func (p *pods) set(count int) {
	p.mutex.Lock()
	p.count = count
	p.mutex.Unlock()
}

func (p *pods) ReadyCount() (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.count, nil
}

func (p *pods) NotReadyCount() (int, error) {
	return 0, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "autoscaler:", err)
	os.Exit(1)
}

func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func say(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func main() {
	namespace := flag.String("namespace", "models", "the revision's")
	revision := flag.String("revision", "rev", "its name")
	target := flag.Float64("target", 1, "concurrency that a pod should have")
	window := flag.Duration("stable-window", time.Minute, "over which it is averaged")
	flag.Parse()

	logger := zap.NewNop().Sugar()
	key := types.NamespacedName{Namespace: *namespace, Name: *revision}
	collector := metrics.NewMetricCollector(
		func(*v1alpha1.Metric, *zap.SugaredLogger) (metrics.StatsScraper, error) {
			return nil, nil
		}, logger)
	err := collector.CreateOrUpdate(&v1alpha1.Metric{
		ObjectMeta: metav1.ObjectMeta{Namespace: *namespace, Name: *revision},
		Spec:       v1alpha1.MetricSpec{StableWindow: *window, PanicWindow: *window / 10},
	})
	if err != nil {
		fail(err)
	}
	running := &pods{}
	scaler := scaling.New(context.Background(), *namespace, *revision, collector, running,
		&scaling.DeciderSpec{
			MaxScaleUpRate: 1000, MaxScaleDownRate: 1000, ScalingMetric: "concurrency",
			TargetValue: *target, TotalValue: *target, TargetBurstCapacity: -1,
			ActivatorCapacity: 100, PanicThreshold: 2, StableWindow: *window, Reachable: true,
		})

	stats := make(chan metrics.StatMessage, 1000)
	address := freeAddress()
	server := statserver.New(address, stats, logger, nil)
	go func() {
		fail(server.ListenAndServe())
	}()
	for {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("listening on", address)

	last := int32(-1)
	scale := func() {
		result := scaler.Scale(logger, time.Now())
		if result.ScaleValid && result.DesiredPodCount != last {
			last = result.DesiredPodCount
			running.set(int(last))
			say(map[string]any{"scale": last})
		}
	}
	tick := time.NewTicker(2 * time.Second)
	for {
		select {
		case m := <-stats:
			if m.Stat.Timestamp == 0 {
				m.Stat.Timestamp = time.Now().Unix()
			}
			collector.Record(m.Key, time.Unix(m.Stat.Timestamp, 0), m.Stat)
			say(map[string]any{"namespace": m.Key.Namespace, "name": m.Key.Name,
				"pod": m.Stat.PodName, "concurrency": m.Stat.AverageConcurrentRequests,
				"requests": m.Stat.RequestCount,
				"proxied":  m.Stat.AverageProxiedConcurrentRequests})
			// As its multi-scaler does when a revision at zero is poked.
			if m.Key == key && last <= 0 && m.Stat.AverageConcurrentRequests > 0 {
				scale()
			}
		case <-tick.C:
			scale()
		}
	}
}
