# Sourced by both launchers, that of the source folder and that of a distribution: gives Nibble surroundings that it can
# rely on, whatever the caller's are, and becomes it. docs/surroundings.md says what for.

# A closed stream's number would go to the first file that Java opens, and what is printed into that file. Standard input and
# standard error are as good as empty then. Standard output becomes a stream that refuses, so that lost results are an error.
open_closed_streams() {
  # Bash asks about the number itself by such a name, wherever there is no such file.
  [ -e /dev/fd/0 ] || exec 0</dev/null
  [ -e /dev/fd/1 ] || exec 1</dev/null
  [ -e /dev/fd/2 ] || exec 2>/dev/null
}

# Java takes the encoding of arguments and of file names from the locale, and messages of the system in its language.
utf8_locale() {
  local name
  if command -v locale >/dev/null; then
    for name in C.UTF-8 en_US.UTF-8 "${LC_ALL:-}" "${LC_CTYPE:-}" "${LANG:-}"; do
      if [ -n "$name" ] && [ "$(env LC_ALL="$name" locale charmap 2>/dev/null)" = UTF-8 ]; then
        echo "$name"
        return
      fi
    done
  fi
  echo C.UTF-8
}

# The smaller of $1 and the number in the file $2, which may be absent or say that there is no limit.
smaller() {
  local found=
  if [ -r "$2" ]; then read -r found <"$2" || true; fi
  if [[ "$found" =~ ^[0-9]{1,18}$ ]] && [ "$found" -lt "$1" ]; then echo "$found"; else echo "$1"; fi
}

# Bytes that this process may use: the machine's memory, or less where a container, a service manager or ulimit -v says so.
# Control groups hold the limit, of version 2 or 1, of this process's group or of one around it.
# $1: folder of the control groups; $2: the group of this process; $3: the machine's memory
memory_limit() {
  local groups=${1:-/sys/fs/cgroup} own=${2:-/proc/self/cgroup} machine=${3:-/proc/meminfo} limit=2147483648 kilobytes line folder group
  if [ -r "$machine" ]; then
    while read -r line; do
      if [[ "$line" =~ ^MemTotal:\ +([0-9]+) ]]; then limit=$((BASH_REMATCH[1] * 1024)); fi
    done <"$machine"
  elif kilobytes=$(sysctl -n hw.memsize 2>/dev/null) && [ -n "$kilobytes" ]; then
    limit=$kilobytes
  fi
  kilobytes=$(ulimit -v)
  if [ "$kilobytes" != unlimited ] && [ $((kilobytes * 1024)) -lt "$limit" ]; then limit=$((kilobytes * 1024)); fi
  if [ -r "$own" ]; then
    while IFS= read -r line; do
      case "$line" in
        0::*) folder=$groups group=${line#0::} ;;
        *:memory:* | *:*,memory:* | *:memory,*:*) folder=$groups/memory group=/${line#*:*:/} ;;
        *) continue ;;
      esac
      group=${group%/}
      while true; do
        limit=$(smaller "$limit" "$folder$group/memory.max")
        limit=$(smaller "$limit" "$folder$group/memory.high")
        limit=$(smaller "$limit" "$folder$group/memory.limit_in_bytes")
        [ -n "$group" ] || break
        group=${group%/*}
      done
    done <"$own"
  fi
  echo "$limit"
}

# Megabytes of the Java heap for a process that may use $1 bytes. Bulk data lies outside the heap: a quarter, from 2 GB to
# 16 GB, serves the layers that quantizing holds; where memory is short, half.
heap_megabytes() {
  local memory=$(($1 / 1048576))
  local heap=$((memory / 4))
  [ "$heap" -ge 2048 ] || heap=2048
  [ "$heap" -le $((memory / 2)) ] || heap=$((memory / 2))
  [ "$heap" -le 16384 ] || heap=16384
  [ "$heap" -ge 64 ] || heap=64
  echo "$heap"
}

# Becomes Nibble. $1: folder of the Java runtime; $2: folder of the jars; $3: Nibble's own folder; then its arguments
launch() {
  local java=$1 lib=$2 home=$3
  shift 3
  open_closed_streams
  # Progress bars are for a terminal; Java cannot ask about standard error alone.
  local interactive=false
  [ ! -t 2 ] || interactive=true
  local options=("-Xmx$(heap_megabytes "$(memory_limit)")m" "-Dnibble.home=$home" "-Dnibble.interactive=$interactive")
  # Java goes by the list of users and /tmp; what the caller sets comes first, as for other programs.
  [ -z "${HOME:-}" ] || options+=("-Duser.home=$HOME")
  [ -z "${TMPDIR:-}" ] || options+=("-Djava.io.tmpdir=$TMPDIR")
  LC_ALL=$(utf8_locale)
  export LC_ALL
  # shellcheck disable=SC2086 # options of the caller are words
  exec "$java/bin/java" --add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED -XX:+UseParallelGC \
    "${options[@]}" ${NIBBLE_JAVA_OPTS:-} -cp "$lib/*" nibble.cli.Nibble "$@"
}
