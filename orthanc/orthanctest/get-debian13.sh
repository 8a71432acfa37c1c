#!/bin/sh
# Makes a Debian 13 with its Orthanc (1.12.7) in .cache/debian13 below the repository root, by debootstrap: a second
# version to test against, and the folder that container images are made of. No service is started, no running Orthanc
# is touched. Run again, it does nothing. Needs root (debootstrap does); installs the package debootstrap where it is
# missing.
#
#   sh orthanc/orthanctest/get-debian13.sh [FOLDER]
#
# It leaves FOLDER/root, the system, and FOLDER/Orthanc, a script that runs FOLDER/root/usr/sbin/Orthanc with that
# system's own loader and libraries, without chroot, so that paths mean what they mean outside. It prints the path of
# the script.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
target=${1:-$here/.cache/debian13}
case $target in /*) ;; *) target=$PWD/$target ;; esac

say() { echo "get-debian13: $*" >&2; }
done_already() { [ -x "$target/Orthanc" ] && "$target/Orthanc" --version >/dev/null 2>&1; }

if done_already; then
	echo "$target/Orthanc"
	exit 0
fi
[ "$(id -u)" = 0 ] || { say "debootstrap needs root: run this as root, once"; exit 1; }
if ! command -v debootstrap >/dev/null || [ ! -e /usr/share/debootstrap/scripts/trixie ]; then
	say "apt-get install debootstrap"
	install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends debootstrap debian-archive-keyring >/dev/null; }
	install || { apt-get -qq update >&2 && install; } || { say "the package debootstrap cannot be installed"; exit 1; }
fi

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
chmod 755 "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/new/root
mkdir -p "$root"

say "debootstrap, which takes a few minutes; its log is shown only if it fails"
log=$work/log
show() { tail -n 20 "$log" >&2; say "debootstrap failed"; exit 1; }
# In two stages, so that nothing may start a service when the packages' scripts run.
debootstrap --foreign --variant=minbase --include=orthanc,systemd,systemd-sysv,dbus trixie "$root" >"$log" 2>&1 || show
mkdir -p "$root/usr/sbin"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
DEBIAN_FRONTEND=noninteractive chroot "$root" /debootstrap/debootstrap --second-stage >>"$log" 2>&1 || show
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

cat >"$work/new/Orthanc" <<'WRAPPER'
#!/bin/sh
# Runs the Orthanc of the system beside this script. It replaces this process, so signals reach Orthanc itself.
root=$(cd "$(dirname "$0")" && pwd)/root
for loader in "$root"/usr/lib64/ld-linux-*.so.* "$root"/usr/lib/ld-linux-*.so.*; do
	[ -x "$loader" ] && break
done
libraries=
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/usr/lib; do
	[ -d "$folder" ] && libraries=$libraries${libraries:+:}$folder
done
for dictionary in "$root"/usr/share/libdcmtk*/dicom.dic "$root"/usr/share/dcmtk*/dicom.dic; do
	[ -f "$dictionary" ] && [ -z "${DCMDICTPATH:-}" ] && export DCMDICTPATH="$dictionary:${dictionary%/*}/private.dic"
done
exec "$loader" --library-path "$libraries" "$root/usr/sbin/Orthanc" "$@"
WRAPPER
chmod 755 "$work/new/Orthanc"
"$work/new/Orthanc" --version >/dev/null || { say "the Orthanc in it does not run"; exit 1; }

# From here on the folder counts. Of two runs at once, the second finds the first one's folder and leaves it.
if ! mv -T "$work/new" "$target" 2>/dev/null; then
	if done_already; then
		echo "$target/Orthanc"
		exit 0
	fi
	mv -T "$target" "$work/old"
	mv -T "$work/new" "$target"
fi
say "$("$target/Orthanc" --version | head -n 1)"
echo "$target/Orthanc"
