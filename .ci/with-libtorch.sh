#!/usr/bin/env bash
# with-libtorch.sh COMMAND...: runs a command where libtorch loads. It wants GLIBCXX_3.4.32, which Ubuntu 24.04 and Debian 13 have. On a
# Debian that has not, libstdc++6, libgcc-s1 and libc6 of Debian 13 are downloaded, unpacked into a cache and bound over the system's own
# for this one command (bubblewrap); the system stays as it is. Where that cannot be done the reason goes to stderr, and the command runs
# as it is.
set -uo pipefail
needed=GLIBCXX_3.4.32
libraries=/usr/lib/x86_64-linux-gnu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/understory/debian-13

# libtorch's allocations are large and short: without this, pages go back to the system and come again at every step.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456

plainly() {
  [ -z "${1:-}" ] || echo "libtorch may not load: $1" >&2
  exec "${command[@]}"
}

command=("$@")
[ $# -gt 0 ] || { echo "usage: with-libtorch.sh COMMAND..." >&2; exit 2; }
[ "$(uname -sm)" = "Linux x86_64" ] || plainly
own=$(ldconfig -p 2> /dev/null | sed -n 's/.*libstdc++\.so\.6 .*x86-64.* => //p' | head -1)
[ -n "$own" ] && grep -q "$needed" "$own" && plainly
command -v bwrap > /dev/null || plainly "$needed is missing here and so is bubblewrap"

fetch() {
  command -v apt-get > /dev/null && command -v dpkg > /dev/null || plainly "this machine has no packages of Debian"
  mkdir -p "$cache/sources" "$cache/lists/partial" "$cache/archives/partial"
  # The machine's own mirror of Debian, of which only the suite is another, in a folder of its own.
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && awk -v RS= '/\nURIs:[^\n]*debian/ && !/security/ && sub(/\nSuites:[^\n]*/, "\nSuites: trixie") { print $0 "\n" }' \
      "$file" > "$cache/sources/$(basename "$file")"
  done
  [ -e /etc/apt/sources.list ] && awk '/^deb .*debian.* main/ && !/security/ { $3 = "trixie"; print; exit }' /etc/apt/sources.list \
    > "$cache/sources/main.list"
  private=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$cache/sources" -o "Dir::State::lists=$cache/lists"
    -o "Dir::Cache=$cache" -o "Dir::Cache::archives=$cache/archives" -o "APT::Sandbox::User=$(id -un)")
  apt-get "${private[@]}" update -qq > "$cache/log" 2>&1 || plainly "apt-get update: $(tail -1 "$cache/log")"
  (cd "$cache" && apt-get "${private[@]}" download libstdc++6/trixie libgcc-s1/trixie libc6/trixie > "$cache/log" 2>&1) ||
    plainly "apt-get download: $(tail -1 "$cache/log")"
  rm -rf "$cache/partial"
  for package in "$cache"/*.deb; do
    dpkg -x "$package" "$cache/partial" > "$cache/log" 2>&1 || plainly "dpkg: $(tail -1 "$cache/log")"
  done
  rm -rf "$cache/unpacked" && mv "$cache/partial" "$cache/unpacked"
  rm -rf "$cache"/*.deb "$cache"/*.bin "$cache/lists" "$cache/archives" "$cache/sources"
}

[ -d "$cache/unpacked" ] || fetch
binds=()
for file in "$cache/unpacked$libraries"/*.so*; do
  over=$(readlink -e "$libraries/$(basename "$file")") && binds+=(--ro-bind "$(readlink -f "$file")" "$over")
done
bwrap --dev-bind / / true 2> /dev/null || plainly "bubblewrap is not allowed here"
exec bwrap --dev-bind / / "${binds[@]}" --die-with-parent -- "$@"
