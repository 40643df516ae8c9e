package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands in the surroundings that shells, containers and services give them, by both launchers, with this build behind them. */
@EnabledOnOs(OS.LINUX)
class SurroundingsTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));
    private static final Path MODEL = ROOT.resolve("models/wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private record Ended(int exitCode, String out, String err) {}

    /** A source folder and an unpacked distribution, both with a runtime that adds the class path of this test. */
    @BeforeEach
    void layOut() throws IOException {
        Path source = folder.resolve("source");
        Path shared = ROOT.resolve("cli/src/main/dist/launch");
        Files.createDirectories(source.resolve("cli/src/main/dist"));
        Files.createDirectories(source.resolve("cli/target/lib"));
        Files.copy(ROOT.resolve("nibble"), source.resolve("nibble"));
        Files.copy(shared, source.resolve("cli/src/main/dist/launch"));
        Files.writeString(source.resolve("pom.xml"), "");
        Files.writeString(source.resolve("cli/target/lib/.built"), "");
        runtime(source.resolve("jdk"));
        Files.createDirectories(folder.resolve("dist/lib"));
        Files.copy(ROOT.resolve("cli/src/main/dist/nibble"), folder.resolve("dist/nibble"));
        Files.copy(shared, folder.resolve("dist/lib/launch"));
        runtime(folder.resolve("dist/runtime"));
    }

    private static void runtime(Path home) throws IOException {
        Files.createDirectories(home.resolve("bin"));
        Files.writeString(home.resolve("release"), "JAVA_VERSION=\"25.0.1\"\n");
        Path java = home.resolve("bin/java");
        Files.writeString(java, """
            #!/usr/bin/env bash
            arguments=()
            while [ $# -gt 0 ]; do
              if [ "$1" = -cp ]; then arguments+=(-cp '%s'); shift; else arguments+=("$1"); fi
              shift
            done
            [ -z "${SHOW:-}" ] || printf '%%s\\n' "${arguments[@]}" >"$SHOW"
            exec '%s/bin/java' "${arguments[@]}"
            """.formatted(
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        System.getProperty("java.home")));
        Files.setPosixFilePermissions(java, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** Runs a line of bash in which {@code $N} is the launcher, {@code $M} the bundled model and {@code $F} the folder. */
    private Ended bash(String launcher, String line) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("bash", "-c", line)
                .redirectInput(Path.of("/dev/null").toFile())
                .redirectOutput(folder.resolve("stdout").toFile())
                .redirectError(folder.resolve("stderr").toFile())
                .directory(folder.toFile());
        builder.environment().put("N", "bash " + folder.resolve(launcher));
        builder.environment().put("M", MODEL.toString());
        builder.environment().put("F", folder.toString());
        builder.environment()
                .put("NIBBLE_JAVA_HOME", folder.resolve("source/jdk").toString());
        Process process = builder.start();
        assertThat(process.waitFor(180, TimeUnit.SECONDS)).as(line).isTrue();
        return new Ended(
                process.waitFor(),
                Files.readString(folder.resolve("stdout")),
                Files.readString(folder.resolve("stderr")));
    }

    private void assertNoTrace(Ended ended) {
        assertThat(ended.out() + ended.err()).doesNotContain("\tat ", "Exception");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"LC_ALL=C", "LC_ALL=POSIX", "LC_ALL=xx_XX.UTF-8", "LANG=C", "-u LC_ALL -u LANG -u LC_CTYPE"})
    void arguments_and_paths_are_UTF_8_whatever_the_locale(String locale) throws Exception {
        // The bytes of a German and a Chinese word; this test's own Java may run in a locale that has neither.
        Ended ended = bash("source/nibble", """
            name=$F/$(printf 'Gr\\303\\266\\303\\237e \\346\\250\\241')
            env %s $N bench make-model "$name" --shape tiny || exit
            [ -f "$name/config.json" ] && env %s $N inspect "$name" --json - && env %s $N inspect "$name.none"
            """.formatted(locale, locale, locale));
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.err()).contains("Gr\u00f6\u00dfe \u6a21.none: no such folder");
        assertThat(new ObjectMapper()
                        .readTree(ended.out().substring(ended.out().indexOf('{')))
                        .isObject())
                .isTrue();
        assertNoTrace(ended);
    }

    @Test
    void without_the_launcher_text_that_would_be_lost_is_refused() throws Exception {
        Ended ended = bash(
                "source/nibble",
                "export LC_ALL=C; $F/source/jdk/bin/java -cp x nibble.cli.Nibble inspect "
                        + "$(printf 'Gr\\303\\266\\303\\237e')");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(ended.err()).contains("argument 2", "not UTF-8", "LC_ALL=C.UTF-8");
    }

    @ParameterizedTest
    @ValueSource(strings = {"source/nibble", "dist/nibble"})
    void both_launchers_need_no_home_and_give_the_callers_one(String launcher) throws Exception {
        Ended ended = bash(
                launcher,
                "env -u HOME SHOW=$F/none $N --version && HOME=$F/home TMPDIR=$F/tmp SHOW=$F/given $N --version");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(Files.readString(folder.resolve("none"))).doesNotContain("user.home");
        assertThat(Files.readAllLines(folder.resolve("given")))
                .contains("-Duser.home=" + folder.resolve("home"), "-Djava.io.tmpdir=" + folder.resolve("tmp"))
                .anyMatch(option -> option.matches("-Xmx\\d+m"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            value = {
                "$N --version >/dev/full ~ 3 ~ No space left on device; what it should hold is lost",
                "$N inspect $M >/dev/full ~ 3 ~ No space left on device; what it should hold is lost",
                "$N inspect $M --json - >/dev/full ~ 3 ~ No space left on device; what it should hold is lost",
                "$N inspect $M --json /dev/full ~ 3 ~ --json /dev/full: cannot be written: No space left on device",
                "$N inspect $M >&- ~ 3 ~ standard output cannot be written",
                "$N inspect $M | true; exit ${PIPESTATUS[0]} ~ 141 ~ ''",
                "$N generate $M --prompt a --max-new-tokens 100000 | true; exit ${PIPESTATUS[0]} ~ 141 ~ ''",
                "$N generate $M --chat --template vicuna <&- ~ 0 ~ ''",
                "$N inspect $M 2>&- ~ 0 ~ ''",
                "$N inspect $M/none 2>/dev/full ~ 3 ~ ''"
            })
    void streams_that_are_full_or_closed_end_the_command_by_its_exit_code(String line, int code, String words)
            throws Exception {
        Ended ended = bash("source/nibble", line);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
        assertThat(ended.err()).contains(words);
        assertThat(ended.err().lines().filter(text -> text.startsWith("nibble: ")))
                .hasSize(words.isEmpty() ? 0 : 1);
        assertNoTrace(ended);
    }

    @Test
    void options_that_Java_announces_stay_out_of_the_results() throws Exception {
        Ended ended = bash("source/nibble", "JAVA_TOOL_OPTIONS=-Dx=y $N inspect $M --json -");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(new ObjectMapper().readTree(ended.out()).isObject()).isTrue();
    }

    /** Files of control groups, as kernels and container runtimes lay them out; memory of the machine: 64 GB. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                // A container of version 2, which sees its own group as the root.
                "0::/                          | memory.max 4294967296                              | 4294967296",
                // A service: a limit of its own, and a smaller one around it.
                "0::/system.slice/a.service    | system.slice/memory.max 8589934592, system.slice/a.service/memory.max"
                        + " 9589934592 | 8589934592",
                "0::/a                         | a/memory.max max, a/memory.high 1073741824         | 1073741824",
                // Version 1: on the host by its path, in a container with its own group mounted as the root.
                "4:memory:/docker/1            | memory/docker/1/memory.limit_in_bytes 2147483648   | 2147483648",
                "4:memory:/docker/1            | memory/memory.limit_in_bytes 2147483648            | 2147483648",
                "4:cpu,memory:/x               | memory/x/memory.limit_in_bytes 9223372036854771712 | 68719476736",
                "4:memory:/x                   | memory/x/memory.limit_in_bytes 99999999999999999999 | 68719476736",
                "0::/                          | memory.max max                                     | 68719476736"
            })
    void the_limit_of_a_container_is_the_memory_there_is(String group, String files, String bytes) throws Exception {
        Path groups = Files.createDirectory(folder.resolve("groups"));
        for (String file : files.split(", ")) {
            Path path = groups.resolve(file.substring(0, file.indexOf(' ')));
            Files.createDirectories(path.getParent());
            Files.writeString(path, file.substring(file.indexOf(' ') + 1) + "\n");
        }
        Files.writeString(folder.resolve("group"), "9:name=systemd:/\n" + group + "\n");
        Files.writeString(folder.resolve("meminfo"), "MemTotal:       67108864 kB\nMemFree:  1 kB\n");
        Ended ended = bash("source/nibble", ". source/cli/src/main/dist/launch; memory_limit groups group meminfo");
        assertThat(ended.out().strip()).as(ended.err()).isEqualTo(bytes);
    }

    @ParameterizedTest
    @CsvSource({"64, 16384", "32, 8192", "8, 2048", "4, 2048", "3, 1536", "1, 512", "128, 16384"})
    void the_heap_is_a_quarter_of_the_memory_or_half_where_it_is_short(int gigabytes, String megabytes)
            throws Exception {
        Ended ended =
                bash("source/nibble", ". source/cli/src/main/dist/launch; heap_megabytes $((" + gigabytes + " << 30))");
        assertThat(ended.out().strip()).as(ended.err()).isEqualTo(megabytes);
    }

    @Test
    void a_limit_of_address_space_counts_too() throws Exception {
        Ended ended = bash(
                "source/nibble", "ulimit -v 2000000; . source/cli/src/main/dist/launch; memory_limit none none none");
        assertThat(ended.out().strip()).isEqualTo("2048000000");
    }

    /** Needs the right to mount, which root has and others may have in a name space of their own. */
    @Test
    void an_output_that_is_a_mount_point_is_written_and_resumed() throws Exception {
        assumeTrue(
                bash("source/nibble", "unshare -rm true").exitCode() == 0, "no right to make a name space to mount in");
        Ended ended = bash("source/nibble", """
            unshare -rm bash -ec '
            mkdir "$F/volume" "$F/out"; mount --bind "$F/volume" "$F/out"
            $N quantize $M $F/out --method rtn
            $N verify $F/out >/dev/null
            find $F/out -name ".*"; rm -r $F/out/*
            q="quantize $M $F/out --samples 32 --seq-len 256"
            $N $q; mkdir "$F/whole"; cp $F/out/* "$F/whole"; rm -r $F/out/*
            $N $q 2>$F/log & p=$!
            for i in $(seq 600); do grep -q "layer 3 of" $F/log && break; sleep 0.05; done
            kill -TERM $p; if wait $p; then exit 8; fi
            [ -d $F/out/.nibble.unfinished ] && [ ! -e $F/out/config.json ] || exit 7
            if $N $q; then exit 6; fi
            $N $q --resume; rm $F/log
            diff -r "$F/whole" "$F/out" && rm -r "$F/whole" "$F/out"/*; ls -A "$F/out"
            mount -t tmpfs -o size=3m none "$F/out"
            if $N quantize $M $F/out --method rtn --max-shard-size 1MB; then exit 9; fi
            ls -A $F/out'
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(0);
        assertThat(ended.err())
                .contains("bytes are needed", "free some space")
                .contains("--resume", "layers were done already");
        assertThat(ended.out()).contains("written to " + folder.resolve("out")).endsWith("there\n");
        assertNoTrace(ended);
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files.map(file -> file.getFileName().toString()).toList())
                    .containsExactlyInAnyOrderElementsOf(
                            List.of("source", "dist", "stdout", "stderr", "volume", "out"));
        }
    }

    /** Root may read and write whatever the bits say, unless it gives this right up; others never may. */
    private Ended withoutRoot(String line) throws Exception {
        String drop = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search";
        boolean root = bash("source/nibble", "[ $(id -u) = 0 ]").exitCode() == 0;
        assumeTrue(
                !root || bash("source/nibble", drop + " true").exitCode() == 0,
                "root cannot give up its right to every file here");
        return bash("source/nibble", (root ? drop + " " : "") + "bash -c '" + line + "'");
    }

    @Test
    void an_output_whose_parent_cannot_be_written_is_written_and_a_new_one_there_is_refused() throws Exception {
        Ended ended = withoutRoot("""
            mkdir -p $F/parent/out; chmod 777 $F/parent/out; chmod 555 $F/parent
            $N quantize $M $F/parent/out --method rtn || exit 9
            $N verify $F/parent/out >/dev/null || exit 8
            find $F/parent -name ".*"
            $N inspect $M --json $F/parent/x.json; [ $? = 2 ] || exit 7
            $N quantize $M $F/parent/new --method rtn; code=$?; ls $F/parent; chmod 755 $F/parent; exit $code
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.out()).endsWith("there\nout\n");
        assertThat(ended.err())
                .contains("x.json: cannot be written: permission denied")
                .contains("making the output folder failed: permission denied; choose a folder you may write to");
        assertNoTrace(ended);
    }

    @Test
    void a_file_that_may_not_be_read_is_named_with_the_right_that_is_missing() throws Exception {
        Ended ended = withoutRoot("""
            cp -r $M $F/model; chmod 000 $F/model/tokenizer.model
            $N quantize $F/model $F/out --method rtn; [ $? = 3 ] || exit 9
            [ ! -e $F/out ] || exit 8
            $N verify $F/model
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        String fault = "tokenizer.model: cannot be read: permission denied; give yourself the right to read it";
        assertThat(ended.err()).contains(fault);
        assertThat(ended.out()).contains(fault, "1 errors, 1 warnings");
        assertNoTrace(ended);
    }

    @Test
    void a_complete_cache_is_read_although_it_cannot_be_written() throws Exception {
        Ended ended = withoutRoot("""
            id=$(printf %040d 7); cache=$F/cache/models--me--m; mkdir -p $cache/snapshots/$id $cache/refs $cache/blobs
            cp $M/* $cache/snapshots/$id; printf $id >$cache/refs/main; chmod -R a-w $F/cache
            export HF_HUB_CACHE=$F/cache HF_HUB_OFFLINE=1
            $N inspect me/m && $N download me/m && $N generate me/m --prompt The --max-new-tokens 2
            code=$?; chmod -R u+w $F/cache; exit $code
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertNoTrace(ended);
    }

    @Test
    void a_disk_that_fills_behind_a_file_of_figures_leaves_what_was_there() throws Exception {
        assumeTrue(
                bash("source/nibble", "unshare -rm true").exitCode() == 0, "no right to make a name space to mount in");
        Ended ended = bash("source/nibble", """
            unshare -rm bash -c '
            mkdir "$F/disk"; mount -t tmpfs -o size=16k none "$F/disk"
            echo before >"$F/disk/x.json"; head -c 8192 /dev/zero >"$F/disk/full"
            $N inspect $M --json "$F/disk/x.json"; code=$?
            ls -A "$F/disk"; cat "$F/disk/x.json"; exit $code'
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.err()).contains("x.json: cannot be written: No space left on device");
        assertThat(ended.out()).endsWith("full\nx.json\nbefore\n");
        assertNoTrace(ended);
    }

    /** Files are hashed by threads of their own, each with a buffer outside the heap. */
    @Test
    void memory_that_runs_out_in_a_worker_thread_is_said() throws Exception {
        Ended ended = bash("source/nibble", "NIBBLE_JAVA_OPTS=-XX:MaxDirectMemorySize=100k $N verify $M");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DEVICE_OR_MEMORY);
        assertThat(ended.err().lines().filter(text -> text.startsWith("nibble: ")))
                .singleElement()
                .asString()
                .contains("memory");
        assertNoTrace(ended);
    }

    @Test
    void a_cache_that_may_hold_no_programs_is_named_with_the_way_out_and_shared_memory_is_not_needed()
            throws Exception {
        assumeTrue(
                bash("source/nibble", "unshare -rm true").exitCode() == 0, "no right to make a name space to mount in");
        Ended ended = bash("source/nibble", """
            unshare -rm bash -c '
            mkdir "$F/cache"; mount -t tmpfs -o noexec none "$F/cache"; mount -t tmpfs -o size=4k none /dev/shm
            export TMPDIR="$F/cache"
            NIBBLE_CACHE="$F/cache" $N generate $M --prompt The --max-new-tokens 2; [ $? = 3 ] || exit 9
            NIBBLE_CACHE="$F/other" $N generate $M --prompt The --max-new-tokens 2'
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(ended.err())
                .contains("the tokenizer library of this platform cannot be loaded from", "set NIBBLE_CACHE to");
        assertNoTrace(ended);
    }

    @ParameterizedTest
    @CsvSource({"022, drwxr-xr-x, -rw-r--r--", "077, drwx------, -rw-------"})
    void what_is_written_has_the_rights_that_umask_gives(String mask, String folderMode, String fileMode)
            throws Exception {
        Ended ended = bash("source/nibble", "umask " + mask + """
            ; $N quantize $M $F/out --method rtn --json $F/x.json >/dev/null && $N convert $F/out $F/g --format gguf \
              >/dev/null && ls -ld $F/out $F/g $F/out/* $F/g/* $F/x.json | cut -c1-10 | sort -u
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(ended.out().lines()).containsExactlyInAnyOrder(folderMode, fileMode);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            value = {
                "$F/m ~ $F/m ~ 3 ~ the output folder exists and is not empty",
                "$F/m ~ $F/m/out ~ 0 ~ ''",
                "$F/o/m ~ $F/o ~ 3 ~ the output folder exists and is not empty",
                "$F/m ~ $F/link ~ 0 ~ ''",
                "$F/m ~ $F/dangling ~ 3 ~ exists and is not a folder; choose another name"
            })
    void places_of_model_and_output_that_touch_lose_nothing(String model, String out, int code, String words)
            throws Exception {
        Ended ended = bash("source/nibble", """
            cp -r $M $F/m; mkdir $F/o $F/real; cp -r $M $F/o/m; ln -s real $F/link; ln -s nowhere $F/dangling
            $N quantize %s %s --method rtn; code=$?
            diff -r -x out $M $F/m && diff -r $M $F/o/m || exit 9
            [ $code != 0 ] || $N verify %s >/dev/null || exit 8
            exit $code
            """.formatted(model, out, out));
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
        assertThat(ended.err()).contains(words);
        assertNoTrace(ended);
    }

    /** Signals as early as Java runs, in measuring and in the last command that a script would stop. */
    @ParameterizedTest
    @CsvSource({"INT, 130", "TERM, 143"})
    void a_signal_ends_commands_without_outputs_by_its_number(String signal, int code) throws Exception {
        for (String command : List.of("generate $M --prompt The --max-new-tokens 4000", "eval perplexity $M --json $F/x")) {
            // Started by a shell with job control: else it would ignore SIGINT.
            Ended ended = bash("source/nibble", """
                set -m; $N %s >$F/o 2>$F/e & p=$!
                for i in $(seq 300); do grep -q device $F/e && break; sleep 0.1; done; sleep 0.5
                kill -%s -$p; wait $p; code=$?; cat $F/e >&2; exit $code
                """.formatted(command, signal));
            assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
            assertThat(ended.err()).contains("nibble: interrupted");
            assertThat(folder.resolve("x")).doesNotExist();
            assertNoTrace(ended);
        }
    }
}
