/*
 * Tells the service manager how it goes, over the socket that it names in NOTIFY_SOCKET (systemd's
 * protocol, sd_notify(3)). Without one, all of these do nothing.
 */
#ifndef SLOTGATE_GATEWAY_NOTIFY_H
#define SLOTGATE_GATEWAY_NOTIFY_H

void notify_ready(void); /* it serves, as this process: also after an upgrade or a reload */
void notify_reloading(void);
void notify_stopping(void);

#endif
