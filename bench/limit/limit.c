// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's ChaCha20-Poly1305 can do by itself: reading
 * /proc/aead-limit runs it in a loop, on the CPU of whoever reads, and tells
 * how long one packet takes. No tunnel can be faster than that.
 *
 * In User Mode Linux it also tells how long the machine has worked for it, and
 * keeps CPUs from sharing a core.
 */

#include <crypto/chacha20poly1305.h>
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/time64.h>
#include <linux/unistd.h>

#define MAX_SIZES 16
#define MAX_SIZE SZ_16K
#define MAX_CORES 8192

static unsigned int sizes[MAX_SIZES] = { 96, 544, 1408, 1420, 8920 };
static unsigned int count = 5;
module_param_array(sizes, uint, &count, 0444);
MODULE_PARM_DESC(sizes, "lengths of the packets, in bytes");

static unsigned int milliseconds = 100;
module_param(milliseconds, uint, 0644);
MODULE_PARM_DESC(milliseconds, "how long each loop takes");

static const u8 key[CHACHA20POLY1305_KEY_SIZE] = { 1, 2, 3 };

#ifdef CONFIG_UML
/* A system call of the machine, to which this kernel is a process. */
static long machine_call(long number, unsigned long a, unsigned long b, void *c)
{
	long result;

	asm volatile("syscall"
		     : "=a" (result)
		     : "0" (number), "D" (a), "S" (b), "d" (c)
		     : "rcx", "r11", "memory");
	return result;
}

/*
 * This kernel gets processor time or waits for it, while the clock goes on. So
 * ask the machine, in nanoseconds.
 */
static u64 machine_time(unsigned long clock)
{
	struct timespec64 time;

	if (machine_call(__NR_clock_gettime, clock, (unsigned long)&time, NULL))
		return 0;
	return timespec64_to_ns(&time);
}

/*
 * Left to itself, the machine may run all CPUs on one core for seconds, where
 * they spin for each other. So each gets a core to itself: the n-th CPU the n-th
 * core that this process may use.
 */
static void pin(void *unused)
{
	DECLARE_BITMAP(cores, MAX_CORES) = {};
	unsigned int core;

	if (machine_call(__NR_sched_getaffinity, 0, sizeof(cores), cores) <= 0)
		return;
	core = find_nth_bit(cores, MAX_CORES, smp_processor_id());
	if (core >= MAX_CORES)
		return;
	bitmap_zero(cores, MAX_CORES);
	__set_bit(core, cores);
	machine_call(__NR_sched_setaffinity, 0, sizeof(cores), cores);
}
#endif

/* Nanoseconds by the clock; in User Mode Linux, those of this CPU's thread. */
static u64 now(void)
{
#ifdef CONFIG_UML
	return machine_time(CLOCK_THREAD_CPUTIME_ID);
#else
	return ktime_get_ns();
#endif
}

/* Nanoseconds for a packet that is encrypted in place, and maybe decrypted. */
static u64 one_loop(u8 *packet, unsigned int size, bool decrypt)
{
	u64 packets = 0, start = now(), time;

	do {
		/* Looking at the clock is not what is measured. */
		for (int i = 0; i < 64; i++, packets++) {
			chacha20poly1305_encrypt(packet, packet, size, NULL, 0,
						 packets, key);
			if (decrypt &&
			    !chacha20poly1305_decrypt(packet, packet,
						      size + CHACHA20POLY1305_AUTHTAG_SIZE,
						      NULL, 0, packets, key))
				return 0;
		}
		cond_resched();
		time = now();
	} while (time - start < milliseconds * NSEC_PER_MSEC);
	return div64_u64(time - start, packets);
}

static int limit_show(struct seq_file *seq, void *unused)
{
	u8 *packet = kzalloc(MAX_SIZE + CHACHA20POLY1305_AUTHTAG_SIZE, GFP_KERNEL);

	if (!packet)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		u64 encrypt, both;

		if (sizes[i] > MAX_SIZE)
			continue;
		encrypt = one_loop(packet, sizes[i], false);
		both = one_loop(packet, sizes[i], true);
		seq_printf(seq, "%u %llu %llu\n", sizes[i], encrypt, both);
	}
	kfree(packet);
	return 0;
}

#ifdef CONFIG_UML
static int time_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "%llu\n", machine_time(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
#endif

static int __init limit_init(void)
{
	if (!proc_create_single("aead-limit", 0400, NULL, limit_show))
		return -ENOMEM;
#ifdef CONFIG_UML
	if (!proc_create_single("machine-time", 0400, NULL, time_show)) {
		remove_proc_entry("aead-limit", NULL);
		return -ENOMEM;
	}
	/* One CPU by itself may run where there is room for it. */
	if (num_online_cpus() > 1)
		on_each_cpu(pin, NULL, 1);
#endif
	return 0;
}

static void __exit limit_exit(void)
{
#ifdef CONFIG_UML
	remove_proc_entry("machine-time", NULL);
#endif
	remove_proc_entry("aead-limit", NULL);
}

module_init(limit_init);
module_exit(limit_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("How fast ChaCha20-Poly1305 can be here");
