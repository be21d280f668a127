/* Kubernetes' quantities. */
#include "gateway/autoscalers/quantity.h"

#include <math.h>

void quantity_add(struct str *s, double value)
{
	static const char *const units[] = {"m", "", "k", "M", "G", "T"};
	long long n = llround(value * 1000);
	size_t unit = 0;
	while (n && n % 1000 == 0 && unit + 1 < sizeof(units) / sizeof(*units)) {
		n /= 1000;
		unit++;
	}
	str_printf(s, "%lld%s", n, n ? units[unit] : "");
}
