/* SPDX-License-Identifier: GPL-2.0 */
/* Two families of generic netlink cannot have one name. */
#include <uapi/linux/wireguard.h>
#undef WG_GENL_NAME
#define WG_GENL_NAME "wireguard-c"
