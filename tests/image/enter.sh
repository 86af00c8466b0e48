# Runs in namespaces of its own: enter.sh ROOT DATA CONFIG UID GID COMMAND... What a container engine would do: ROOT is
# read-only but for the data and /tmp, the user has no rights and can get none.
set -eu
root=$1 data=$2 config=$3 uid=$4 gid=$5
shift 5
mount --bind "$root" "$root"
mount --bind "$data" "$root/var/lib/thoracle"
mount --bind "$config" "$root/etc/thoracle/thoracle.yaml"
mount -o remount,bind,ro "$root"
mount -o remount,bind,ro "$root/etc/thoracle/thoracle.yaml"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
exec chroot "$root" setpriv --reuid "$uid" --regid "$gid" --clear-groups \
  --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
