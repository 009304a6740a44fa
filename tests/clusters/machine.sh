#!/usr/bin/env bash
# machine.sh NAME DISK SHM PLACE=FOLDER...: makes a machine of process 1 of new namespaces. Its disk lies over that of the
# real machine, and has its own /tmp, /run, /dev/shm (SHM bytes) and processes. PLACE is a folder of others that it sees.
set -euo pipefail
name=$1 disk=$2 shm=$3
shift 3
root=$disk/root
mount --make-rprivate /
hostname "$name"
mkdir -p "$disk"/{root,upper,work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o "size=$shm" shm "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs run "$root/run"
for place in "$@"; do
  mkdir -p "$root${place%%=*}"
  mount --bind "${place#*=}" "$root${place%%=*}"
done
mkdir "$root/run/outside" "$root/run/sshd"
pivot_root "$root" "$root/run/outside"
cd /
umount -l /run/outside
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done # which comes from outside
/usr/sbin/sshd -f /etc/ssh/machine_config
while :; do # it waits for the processes whose parents have ended
  sleep 1000 &
  wait $!
done
