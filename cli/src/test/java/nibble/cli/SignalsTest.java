package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Ctrl-C and SIGTERM end every command with 128 and the number of the signal, and leave what can be resumed or nothing.
 */
@EnabledOnOs(OS.LINUX)
class SignalsTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private Shell shell;

    @BeforeEach
    void layOut() throws IOException {
        shell = new Shell(folder);
    }

    /**
     * {@code $p} gets {@code $S} once the file $F/e, its standard error, has the words, or the journal of $F/out a
     * layer.
     */
    private Shell.Ended stopped(String signal, String command, String until) throws Exception {
        // Started by a shell with job control, and by env: a process that inherits an ignored SIGINT would go on.
        return shell.run("""
            set -m; env --default-signal=INT,TERM %s >$F/o 2>$F/e & p=$!
            until %s || ! kill -0 $p; do sleep 0.1; done
            kill -%s -$p; wait $p; code=$?; cat $F/e >&2; rm $F/o $F/e; exit $code
            """.formatted(command, until, signal));
    }

    @ParameterizedTest
    @CsvSource({"INT, 130", "TERM, 143"})
    void a_signal_ends_a_command_that_has_nothing_to_keep_at_once(String signal, int code) throws Exception {
        // While a text is generated or measured, and before a quantization or a conversion makes its first part.
        for (String command : List.of(
                "generate $M --prompt The --max-new-tokens 4000",
                "quantize $M $F/made/out --samples 512 --seq-len 512 --threads 1",
                "convert $M $F/made/out --format gguf --type Q4_0 --calibration wikitext2 --samples 512 --seq-len 512"
                        + " --threads 1")) {
            // None comes to its products, which alone have a use of the second compiler.
            String quick = "NIBBLE_JAVA_OPTS=-XX:TieredStopAtLevel=1 $N " + command;
            Shell.Ended ended = stopped(signal, quick, "grep -qs device $F/e");
            assertThat(ended.exitCode()).as(command + "\n" + ended.err()).isEqualTo(code);
            assertThat(ended.err()).containsAnyOf("nibble: interrupted", "no layer was finished, so nothing is kept");
            assertThat(folder.resolve("made")).as(command).doesNotExist();
            ended.assertNoTrace();
        }
    }

    @ParameterizedTest
    @CsvSource({"INT, 130", "TERM, 143"})
    void a_signal_while_layers_are_made_keeps_them(String signal, int code) throws Exception {
        Shell.Ended ended = stopped(
                signal,
                "$N quantize $T $F/out --calibration $M/../../LICENSE --samples 4 --seq-len 128 --group-size 64"
                        + " --steps 3 --threads 1",
                "grep -qs entry..{.layer $F/.out.unfinished/journal.jsonl");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
        assertThat(ended.err())
                .contains("stopping as soon as it is safe", "layers are safe in " + folder.resolve(".out.unfinished"));
        assertThat(folder.resolve("out")).doesNotExist();
        ended.assertNoTrace();
    }

    /** A text that runs is finished and sent; the next request is refused; then the server ends. */
    @ParameterizedTest
    @CsvSource({"INT, 130", "TERM, 143"})
    void a_signal_lets_a_server_finish_its_texts(String signal, int code) throws Exception {
        assumeTrue(shell.run("curl --version").exitCode() == 0, "curl is not installed");
        Shell.Ended ended = shell.run("""
            set -m
            env --default-signal=INT,TERM $N serve $T --port 0 --threads 1 >$F/o 2>$F/e & p=$!
            until grep -qs http $F/o || ! kill -0 $p; do sleep 0.1; done
            json="Content-Type: application/json" url=$(cat $F/o)/v1/completions
            body='{"prompt":"The","max_tokens":200,"ignore_eos":true,"stream":true}'
            curl -sN -H "$json" -d "$body" $url >$F/text & c=$!
            until grep -qs data $F/text || ! kill -0 $c; do sleep 0.02; done
            kill -%s -$p
            until grep -qs stopping $F/e || ! kill -0 $p; do sleep 0.02; done
            sleep 0.2; curl -s -o /dev/null -w '%%{http_code}\n' -H "$json" -d '{"prompt":"a"}' $url
            wait $c; echo "curl $?"; tail -n 2 $F/text; grep -c '"length"' $F/text
            wait $p; code=$?; cat $F/e >&2; rm $F/o $F/e $F/text; exit $code
            """.formatted(signal));
        assertThat(ended.out()).isEqualTo("503\ncurl 0\ndata: [DONE]\n\n1\n");
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(code);
        assertThat(ended.err()).contains("stopping as soon as it is safe");
        ended.assertNoTrace();
    }
}
