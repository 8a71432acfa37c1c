#!/bin/sh
# Gets Orthanc from the distribution (Debian, Ubuntu) into .cache/orthanc below the repository root, without installing
# it: no package is configured, no service is started, no running Orthanc is touched. Run again, it does nothing.
#
#   sh orthanc/orthanctest/get-orthanc.sh [FOLDER]
#
# It leaves FOLDER/Orthanc, a script that runs FOLDER/root/usr/sbin/Orthanc with its libraries.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
target=${1:-$here/.cache/orthanc}

say() { echo "get-orthanc: $*" >&2; }

# Done already, and every library is still there?
if [ -x "$target/Orthanc" ] && "$target/Orthanc" --version >/dev/null 2>&1; then
	exit 0
fi
for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || { say "$tool is missing: install Orthanc by hand and set ORTHOKEEP_ORTHANC to its path"; exit 1; }
done

# The packages that an installation would add, as name=version.
packages() {
	LC_ALL=C apt-get -s -qq install --no-install-recommends --no-upgrade orthanc 2>/dev/null |
		sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\{0,1\}(\([^ ]*\) .*/\1=\3/p'
}

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/debs" "$work/new" "$work/new/root"

download() {
	list=$(packages)
	case "$list" in *orthanc=*) ;; *) return 1 ;; esac
	say "$(echo "$list" | wc -l) packages"
	# shellcheck disable=SC2086
	(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download $list >/dev/null)
}
if ! download; then
	[ "$(id -u)" = 0 ] || { say "the package lists are missing or too old: run 'apt-get update' as root, then this again"; exit 1; }
	say "apt-get update"
	apt-get -qq update >&2
	rm -f "$work"/debs/*
	download || { say "the distribution has no package 'orthanc', or it cannot be downloaded"; exit 1; }
fi

for deb in "$work"/debs/*.deb; do
	dpkg-deb -x "$deb" "$work/new/root"
done

cat >"$work/new/Orthanc" <<'WRAPPER'
#!/bin/sh
# Runs the unpacked Orthanc beside this script. It replaces this process, so signals reach Orthanc itself.
root=$(cd "$(dirname "$0")" && pwd)/root
libraries=
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu* "$root"/usr/lib "$root"/lib; do
	[ -d "$folder" ] && libraries=$libraries${libraries:+:}$folder
done
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
for dictionary in "$root"/usr/share/libdcmtk*/dicom.dic "$root"/usr/share/dcmtk*/dicom.dic; do
	[ -f "$dictionary" ] && [ -z "${DCMDICTPATH:-}" ] && export DCMDICTPATH="$dictionary:${dictionary%/*}/private.dic"
done
exec "$root/usr/sbin/Orthanc" "$@"
WRAPPER
chmod 755 "$work/new/Orthanc"
"$work/new/Orthanc" --version >/dev/null || { say "the unpacked Orthanc does not run"; exit 1; }

# From here on the folder counts. Of two runs at once, the second finds the first one's folder and leaves it.
if ! mv -T "$work/new" "$target" 2>/dev/null; then
	if [ -x "$target/Orthanc" ] && "$target/Orthanc" --version >/dev/null 2>&1; then
		exit 0
	fi
	mv -T "$target" "$work/old"
	mv -T "$work/new" "$target"
fi
say "$("$target/Orthanc" --version | head -n 1) in $target"
