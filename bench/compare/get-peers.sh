#!/bin/sh
# Unpacks Debian 13's restic and borgbackup in .cache/peers below the repository root, and builds kopia there from the Go
# module proxy. Nothing is installed on the system, no service is started. Run again, it does nothing. A peer that cannot
# be had is said and left out. Needs debootstrap, and root to install that where it is missing.
#
#   sh bench/compare/get-peers.sh [FOLDER]
#
# It leaves FOLDER/root, the packages with all that they depend on, and FOLDER/bin with the commands: each runs the
# program in FOLDER/root with that system's own loader and libraries, without chroot.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
target=${1:-$here/.cache/peers}
kopia=${KOPIA:-github.com/kopia/kopia@v0.22.3}
case $target in /*) ;; *) target=$PWD/$target ;; esac

say() { echo "get-peers: $*" >&2; }
runs() { [ -x "$target/bin/$1" ] && version "$1" >/dev/null 2>&1; }
version() {
	case $1 in
	restic) "$target/bin/restic" version ;;
	*) "$target/bin/$1" --version ;;
	esac
}

# unpack fills FOLDER/root with the packages, without running any of their scripts.
unpack() {
	[ "$(id -u)" = 0 ] || { say "debootstrap needs root: run this as root, once"; return 1; }
	if ! command -v debootstrap >/dev/null || [ ! -e /usr/share/debootstrap/scripts/trixie ]; then
		install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends debootstrap debian-archive-keyring >/dev/null; }
		install || { apt-get -qq update >&2 && install; } || { say "the package debootstrap cannot be installed"; return 1; }
	fi
	work=$(mktemp -d "$target/new.XXXXXX")
	say "fetching restic and borgbackup of Debian 13; the log is shown only if it fails"
	if ! debootstrap --download-only --variant=minbase --include=restic,borgbackup trixie "$work/fetched" >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		rm -rf --one-file-system "$work"
		return 1
	fi
	mkdir -p "$work/root/usr/bin" "$work/root/usr/sbin" "$work/root/usr/lib" "$work/root/usr/lib64"
	for merged in bin sbin lib lib64; do ln -s "usr/$merged" "$work/root/$merged"; done
	for package in "$work"/fetched/var/cache/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --keep-directory-symlink
	done
	rm -rf "$target/root"
	mv -T "$work/root" "$target/root"
	rm -rf --one-file-system "$work"
}

# wrap writes FOLDER/bin/NAME, which runs a command of FOLDER/root.
wrap() {
	cat >"$target/bin/$1" <<WRAPPER
#!/bin/sh
# Runs $1 of the system beside this script.
root=\$(cd "\$(dirname "\$0")/.." && pwd)/root
for loader in "\$root"/usr/lib64/ld-linux-*.so.* "\$root"/usr/lib/ld-linux-*.so.*; do
	[ -x "\$loader" ] && break
done
libraries=
for folder in "\$root"/usr/lib/*-linux-gnu* "\$root"/usr/lib; do
	[ -d "\$folder" ] && libraries=\$libraries\${libraries:+:}\$folder
done
$2
WRAPPER
	chmod 755 "$target/bin/$1"
}

mkdir -p "$target/bin"
if ! runs restic || ! runs borg; then
	if unpack; then
		wrap restic 'exec "$loader" --library-path "$libraries" "$root/usr/bin/restic" "$@"'
		wrap borg 'export PYTHONHOME="$root/usr" PYTHONDONTWRITEBYTECODE=1
exec "$loader" --library-path "$libraries" "$root/usr/bin/python3" "$root/usr/bin/borg" "$@"'
	fi
fi
if ! runs kopia && command -v "${GO:-go}" >/dev/null; then
	say "building $kopia"
	# Built where the module lies, since that needs no list of its versions.
	source=$("${GO:-go}" mod download -json "$kopia" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
	(cd "$source" && "${GO:-go}" build -ldflags "-X github.com/kopia/kopia/repo.BuildVersion=${kopia##*@}" -o "$target/bin/kopia" .) || say "kopia cannot be built"
fi
for peer in restic borg kopia; do
	if runs "$peer"; then
		say "$peer: $(version "$peer" | head -n 1)"
	else
		say "$peer: missing"
		rm -f "$target/bin/$peer"
	fi
done
echo "$target/bin"
