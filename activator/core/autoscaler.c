/* Knative's pod autoscaler, fed with the exact concurrency. */
#include "activator/core/autoscaler.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* Knative never aims below this, however small the target and the utilisation. */
static const double LEAST_TARGET = 0.01;

/* What a pod without a limit should have in flight if nobody says (Knative's default). */
static const double UNLIMITED_TARGET = 100;

/* The scales wanted over the last seconds, the greatest of which is what the scale-down delay lets
 * through: one place a second. */
struct delay {
	int64_t seconds, newest;
	int64_t wanted[];
};

static struct delay *delay_new(int64_t seconds)
{
	struct delay *d = mem_zalloc(sizeof(*d) + (size_t)(seconds + 1) * sizeof(d->wanted[0]));
	if (d)
		d->seconds = seconds;
	return d;
}

static int64_t delay_pass(struct delay *d, int64_t wanted, int64_t now_us)
{
	int64_t length = d->seconds + 1, second = now_us / US_PER_S, most = 0;
	if (second - d->newest > length)
		d->newest = second - length;
	while (d->newest < second)
		d->wanted[++d->newest % length] = 0;
	if (wanted > d->wanted[second % length])
		d->wanted[second % length] = wanted;
	for (int64_t i = 0; i < length; i++)
		if (d->wanted[i] > most)
			most = d->wanted[i];
	return most;
}

static double target_of(const struct autoscaling_config *c, int64_t container_concurrency)
{
	double total = c->target;
	if (total <= 0)
		total = container_concurrency > 0 ? (double)container_concurrency
						  : UNLIMITED_TARGET;
	return fmax(LEAST_TARGET, total * c->target_utilization);
}

static int64_t seconds_of(int64_t us)
{
	int64_t s = (us + US_PER_S - 1) / US_PER_S;
	return s > 1 ? s : 1;
}

static int64_t panic_seconds(const struct autoscaling_config *c)
{
	return seconds_of(
		(int64_t)((double)c->stable_window_us * c->panic_window_percentage / 100));
}

bool autoscaler_init(struct autoscaler *a, const struct autoscaling_config *config,
		     int64_t container_concurrency, int64_t now_us)
{
	*a = (struct autoscaler){
		.panic_us = -1, .zero_us = -1, .initial_until_us = INT64_MAX, .found = -1};
	a->next_tick_us = now_us;
	return autoscaler_configure(a, config, container_concurrency, now_us);
}

void autoscaler_release(struct autoscaler *a)
{
	window_release(&a->window);
	mem_free(a->delay);
	a->delay = NULL;
}

/* New lengths of time start with a new history; the rest of the state goes on. */
static bool resize(struct autoscaler *a, const struct autoscaling_config *c, int64_t now_us)
{
	struct window window;
	struct delay *delay = NULL;
	if (!window_init(&window, seconds_of(c->stable_window_us)))
		return false;
	if (c->scale_down_delay_us > 0) {
		delay = delay_new(seconds_of(c->scale_down_delay_us));
		if (!delay) {
			window_release(&window);
			return false;
		}
	}
	autoscaler_release(a);
	a->window = window;
	a->delay = delay;
	window_set(&a->window, a->current, now_us);
	return true;
}

bool autoscaler_configure(struct autoscaler *a, const struct autoscaling_config *config,
			  int64_t container_concurrency, int64_t now_us)
{
	bool same = a->window.areas && config->stable_window_us == a->config.stable_window_us &&
		    config->scale_down_delay_us == a->config.scale_down_delay_us;
	if (!same && !resize(a, config, now_us))
		return false;
	a->config = *config;
	a->target = target_of(config, container_concurrency);
	return true;
}

void autoscaler_observe(struct autoscaler *a, double concurrency, int64_t now_us)
{
	a->area = autoscaler_area(a, now_us);
	a->area_us = now_us;
	a->current = concurrency;
	window_set(&a->window, concurrency, now_us);
}

double autoscaler_area(const struct autoscaler *a, int64_t now_us)
{
	int64_t since_us = now_us > a->area_us ? now_us - a->area_us : 0;
	return a->area + a->current * (double)since_us;
}

void autoscaler_averages(struct autoscaler *a, int64_t now_us, double *stable, double *panic)
{
	*stable = window_average(&a->window, seconds_of(a->config.stable_window_us), now_us);
	*panic = window_average(&a->window, panic_seconds(&a->config), now_us);
}

/* Keeps the panic mode: entered and prolonged by a breach, left a stable window after the last. */
static void update_panic(struct autoscaler *a, double ratio, int64_t now_us)
{
	if (ratio >= a->config.panic_threshold_percentage / 100) {
		a->panic_us = now_us;
	} else if (a->panic_us >= 0 && a->panic_us + a->config.stable_window_us < now_us) {
		a->panic_us = -1;
		a->panic_pods = 0;
	}
}

int64_t autoscaler_decide(struct autoscaler *a, int64_t ready, double stable, double panic,
			  int64_t now_us)
{
	const struct autoscaling_config *c = &a->config;
	double pods = fmax(1, (double)ready);
	double most = ceil(c->max_scale_up_rate * pods);
	double least = floor(pods / c->max_scale_down_rate);
	double for_stable = ceil(stable / a->target);
	double for_panic = ceil(panic / a->target);
	int64_t want_stable = (int64_t)fmin(fmax(for_stable, least), most);
	int64_t want_panic = (int64_t)fmin(fmax(for_panic, least), most);
	if (c->activation_scale > 1) {
		if (for_stable > 0 && want_stable < c->activation_scale)
			want_stable = c->activation_scale;
		if (for_panic > 0 && want_panic < c->activation_scale)
			want_panic = c->activation_scale;
	}
	update_panic(a, for_panic / pods, now_us);
	if (a->panic_us < 0)
		return want_stable;
	/* While panicking, never fewer than were asked for before. */
	if (want_panic > a->panic_pods)
		a->panic_pods = want_panic;
	if (want_stable > a->panic_pods)
		a->panic_pods = want_stable;
	return a->panic_pods;
}

/* The last pods stay until none has been wanted for the grace and the retention. */
static int64_t hold_above_zero(struct autoscaler *a, int64_t want, int64_t now_us)
{
	const struct autoscaling_config *c = &a->config;
	if (want > 0 || c->min_scale > 0) {
		a->zero_us = -1;
		return want;
	}
	if (a->zero_us < 0)
		a->zero_us = now_us;
	int64_t stay_us = c->scale_to_zero_grace_us > c->scale_to_zero_retention_us
				  ? c->scale_to_zero_grace_us
				  : c->scale_to_zero_retention_us;
	return a->desired > 0 && now_us - a->zero_us < stay_us ? 1 : 0;
}

static int64_t bound(const struct autoscaler *a, int64_t want)
{
	const struct autoscaling_config *c = &a->config;
	if (want < c->min_scale)
		want = c->min_scale;
	if (c->max_scale > 0 && want > c->max_scale)
		want = c->max_scale;
	return want;
}

/* initialScale holds from the start until its pods have had a stable window to be used in. */
static int64_t hold_initial(struct autoscaler *a, int64_t want, int64_t ready, int64_t now_us)
{
	if (ready > 0 && a->initial_until_us == INT64_MAX)
		a->initial_until_us = now_us + a->config.stable_window_us;
	int64_t initial = a->found < 0 ? a->config.initial_scale : a->found;
	return now_us < a->initial_until_us && want < initial ? initial : want;
}

int64_t autoscaler_tick(struct autoscaler *a, int64_t ready, bool wake, int64_t now_us)
{
	const struct autoscaling_config *c = &a->config;
	double stable, panic;
	autoscaler_averages(a, now_us, &stable, &panic);
	int64_t want = autoscaler_decide(a, ready, stable, panic, now_us);
	/* floor(1 / downRate) keeps one pod for ever at a rate of 1; nothing observed is zero. */
	if (stable <= 0 && panic <= 0 && a->panic_us < 0 && ready <= 1)
		want = 0;
	if (wake && want < 1)
		want = 1;
	if (ready == 0) {
		int64_t now = (int64_t)ceil(a->current / a->target);
		want = want > now ? want : now;
	}
	if (a->delay)
		want = delay_pass(a->delay, want, now_us);
	want = hold_initial(a, want, ready, now_us);
	want = hold_above_zero(a, want, now_us);
	a->desired = bound(a, want);
	a->next_tick_us = now_us + c->tick_us;
	return a->desired;
}

int64_t autoscaler_from_zero(struct autoscaler *a, bool wake, int64_t now_us)
{
	int64_t want = (int64_t)ceil(a->current / a->target);
	if (want < 1 && wake)
		want = 1;
	if (want > 0 && want < a->config.activation_scale)
		want = a->config.activation_scale;
	want = bound(a, want);
	if (want <= a->desired)
		return a->desired;
	/* A burst onto nothing is a panic by definition: keep what it asked for while it lasts. */
	if ((double)want >= a->config.panic_threshold_percentage / 100) {
		a->panic_us = now_us;
		if (want > a->panic_pods)
			a->panic_pods = want;
	}
	a->zero_us = -1;
	return a->desired = want;
}

bool autoscaler_found(struct autoscaler *a, int64_t pods, int64_t now_us)
{
	if (a->initial_until_us != INT64_MAX)
		return false; /* it has been at work: it knows better */
	a->found = pods;
	a->desired = bound(a, pods > (int64_t)ceil(a->current / a->target)
				      ? pods
				      : (int64_t)ceil(a->current / a->target));
	a->next_tick_us = now_us;
	return true;
}

void autoscaler_record(struct autoscaler *a, int64_t now_us, struct autoscaler_record *r)
{
	double panic;
	*r = (struct autoscaler_record){
		.desired = a->desired,
		.panic_us = a->panic_us,
		.panic_pods = a->panic_pods,
		.zero_us = a->zero_us,
	};
	autoscaler_averages(a, now_us, &r->concurrency, &panic);
}

void autoscaler_resume(struct autoscaler *a, const struct autoscaler_record *r, int64_t now_us)
{
	a->desired = bound(a, r->desired);
	a->panic_us = r->panic_us < now_us ? r->panic_us : now_us;
	a->panic_pods = r->panic_us < 0 ? 0 : r->panic_pods;
	a->zero_us = r->zero_us < now_us ? r->zero_us : now_us;
	a->initial_until_us = now_us;
	a->next_tick_us = now_us;
	if (a->window.since_us < 0)
		window_set(&a->window, r->concurrency, now_us - a->config.stable_window_us);
}
