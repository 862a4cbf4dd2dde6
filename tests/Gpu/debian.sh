#!/usr/bin/env bash
# debian.sh PACKAGE PROGRAM: prints the path of a program: the machine's own, or the one in a package of Debian (of its component
# non-free too), unpacked into a cache folder and not installed. Exit code 1, with the reason on stderr: it cannot be had.
set -uo pipefail
package=$1
program=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/understory/$package
none() { echo "no $program: $1" >&2; rm -rf "$cache"; exit 1; }

if command -v "$program"; then
  exit 0
fi
if find "$cache/unpacked" -name "$program" -type f -perm -u+x 2> /dev/null | head -1 | grep .; then
  exit 0
fi
command -v apt-get > /dev/null && command -v dpkg > /dev/null || none "this machine has neither it nor Debian's packages"

# The machine's own Debian sources with one component more, in a folder of their own: its lists and its state stay as they are.
mkdir -p "$cache/sources" "$cache/lists/partial" "$cache/archives/partial"
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] && awk -v RS= \
    '/\nURIs:[^\n]*debian/ && sub(/\nComponents:[^\n]*/, "\nComponents: main contrib non-free") { print $0 "\n" }' \
    "$file" > "$cache/sources/$(basename "$file")"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -e "$file" ] && awk '/^deb .*debian.* main/ { print $0 " contrib non-free" }' "$file" > "$cache/sources/$(basename "$file" .list).list"
done
private=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$cache/sources" -o "Dir::State::lists=$cache/lists"
  -o "Dir::Cache=$cache" -o "Dir::Cache::archives=$cache/archives" -o "APT::Sandbox::User=$(id -un)")
log=$cache/log
apt-get "${private[@]}" update -qq > "$log" 2>&1 || none "apt-get update: $(tail -1 "$log")"
(cd "$cache" && apt-get "${private[@]}" download "$package" > "$log" 2>&1) || none "apt-get download: $(tail -1 "$log")"
rm -rf "$cache/unpacked"
dpkg -x "$cache/$package"_*.deb "$cache/unpacked" > "$log" 2>&1 || none "dpkg: $(tail -1 "$log")"
rm -rf "$cache/$package"_*.deb "$cache/lists" "$cache/sources" "$cache/archives" "$cache"/*.bin
find "$cache/unpacked" -type f ! -name "$program" -delete
find "$cache/unpacked" -name "$program" -type f -perm -u+x | head -1 | grep . || none "the package $package does not hold it"
