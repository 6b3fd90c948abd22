#!/usr/bin/env bash
# The first process of a node's namespaces: gives them their own root file system, then holds them.
#
#   enter-node.sh NAME FOLDER CACHE
#
# The root shares only /usr (read-only), /dev and /sys with the host, and lies over the host's /etc; so a node's /run, /var, /opt,
# /etc/cni are its own, as on a machine of its own, and whatever a pod mounts from them. All mounts go with the namespace.
set -euo pipefail
name=$1 folder=$2 cache=$3
root=$folder/root

hostname "$name"
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
mount --bind "$root" "$root"
for shared in bin sbin lib lib32 lib64; do
  if [ -L "/$shared" ]; then ln -sfn "$(readlink "/$shared")" "$root/$shared"
  elif [ -d "/$shared" ]; then mkdir -p "$root/$shared"; mount --bind -o ro "/$shared" "$root/$shared"; fi
done
mkdir -p "$root"/{usr,etc,proc,sys,dev,run,tmp,var/{lib,log},opt/{cni/bin,cluster},root,mnt}
ln -sfn ../run "$root/var/run"
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$folder/etc,workdir=$folder/etc.work" "$root/etc"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount --bind "$cache" "$root/opt/cluster"
mount -o remount,bind,ro "$root/opt/cluster"
cp -f "$cache"/bin/{host-local,loopback,ptp} "$root/opt/cni/bin/"

cd "$root"
pivot_root . mnt
umount -l /mnt
# Mounts that a pod makes with bidirectional propagation must reach the node's other pods.
mount --make-rshared /
exec /opt/cluster/bin/probe pause
