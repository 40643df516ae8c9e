package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands with the locale, streams and memory that shells, containers and services give them, by both launchers. */
@EnabledOnOs(OS.LINUX)
class SurroundingsTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private Shell shell;

    @BeforeEach
    void layOut() throws IOException {
        shell = new Shell(folder);
    }

    @Test
    void arguments_and_paths_are_UTF_8_whatever_the_locale() throws Exception {
        // The bytes of a German and a Chinese word; this test's own Java may run in a locale that has neither.
        Shell.Ended ended = shell.run("""
            name=$F/$(printf 'Gr\\303\\266\\303\\237e \\346\\250\\241'); export LC_ALL=C
            $N bench make-model "$name" --shape tiny >&2 && [ -f "$name/config.json" ] && $N inspect "$name" --json -
            """);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
        assertThat(new ObjectMapper().readTree(ended.out()).isObject()).isTrue();
        ended.assertNoTrace();
        for (String locale : List.of("LC_ALL=POSIX", "LC_ALL=xx_XX.UTF-8", "LANG=C", "-u LC_ALL -u LANG -u LC_CTYPE")) {
            ended = shell.run("""
                env %s $N inspect $F/$(printf 'Gr\\303\\266\\303\\237e')
                """.formatted(locale));
            assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
            assertThat(ended.err()).contains("Gr\u00f6\u00dfe: no such folder");
            ended.assertNoTrace();
        }
    }

    @Test
    void without_the_launcher_text_that_would_be_lost_is_refused() throws Exception {
        Shell.Ended ended = shell.run("export LC_ALL=C; $F/source/jdk/bin/java -cp x nibble.cli.Nibble inspect "
                + "$(printf 'Gr\\303\\266\\303\\237e')");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(ended.err()).contains("argument 2", "not UTF-8", "LC_ALL=C.UTF-8");
    }

    @ParameterizedTest
    @ValueSource(strings = {"source/nibble", "dist/nibble"})
    void both_launchers_need_no_home_and_give_the_callers_one(String launcher) throws Exception {
        Shell.Ended ended = shell.run(
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
                "$N --version >/dev/full ~ 3 ~ No space left on device; its content is lost",
                "$N inspect $M >/dev/full ~ 3 ~ No space left on device; its content is lost",
                "$N inspect $M --json - >/dev/full ~ 3 ~ No space left on device; its content is lost",
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
        Shell.Ended ended = shell.run(line);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
        assertThat(ended.err()).contains(words);
        assertThat(ended.err().lines().filter(text -> text.startsWith("nibble: ")))
                .hasSize(words.isEmpty() ? 0 : 1);
        ended.assertNoTrace();
    }

    @Test
    void options_that_Java_announces_stay_out_of_the_results() throws Exception {
        Shell.Ended ended = shell.run("JAVA_TOOL_OPTIONS=-Dx=y $N inspect $M --json -");
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
        Shell.Ended ended = shell.run(". source/cli/src/main/dist/launch; memory_limit groups group meminfo");
        assertThat(ended.out().strip()).as(ended.err()).isEqualTo(bytes);
    }

    @ParameterizedTest
    @CsvSource({"64, 16384", "32, 8192", "8, 2048", "4, 2048", "3, 1536", "1, 512", "128, 16384"})
    void the_heap_is_a_quarter_of_the_memory_or_half_where_it_is_short(int gigabytes, String megabytes)
            throws Exception {
        Shell.Ended ended = shell.run(". source/cli/src/main/dist/launch; heap_megabytes $((" + gigabytes + " << 30))");
        assertThat(ended.out().strip()).as(ended.err()).isEqualTo(megabytes);
    }

    @Test
    void a_limit_of_address_space_counts_too() throws Exception {
        Shell.Ended ended =
                shell.run("ulimit -v 2000000; . source/cli/src/main/dist/launch; memory_limit none none none");
        assertThat(ended.out().strip()).isEqualTo("2048000000");
    }

    /** Files are hashed by threads of their own, each with a buffer outside the heap. */
    @Test
    void memory_that_runs_out_in_a_worker_thread_is_said() throws Exception {
        Shell.Ended ended = shell.run("NIBBLE_JAVA_OPTS=-XX:MaxDirectMemorySize=100k $N verify $M");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DEVICE_OR_MEMORY);
        assertThat(ended.err().lines().filter(text -> text.startsWith("nibble: ")))
                .singleElement()
                .asString()
                .contains("memory");
        ended.assertNoTrace();
    }
}
