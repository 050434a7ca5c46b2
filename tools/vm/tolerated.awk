# SPDX-License-Identifier: GPL-2.0
#
# A kernel's log without the lines that match PATTERN, and without the traces that
# belong to them; other lines keep their numbers.
#
#	awk -v tolerated=PATTERN -f tolerated.awk LOG

# A trace begins soon after what it is about, or it is that of something else.
tolerated != "" && $0 ~ tolerated { near = 12; $0 = "" }
near > 0 && near-- && /Call Trace:/ { trace = 1 }
{ print trace ? "" : $0 }
/<\/TASK>/ { trace = near = 0 }
