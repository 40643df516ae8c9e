package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The real command, ended from outside at several points, and gone on with. */
@Timeout(value = 20, unit = TimeUnit.MINUTES)
class KillTest {
    private static final int LAYERS = 5;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path folder;

    private static Path model;
    private static String[] options;
    private static Map<String, String> undisturbed;

    @BeforeAll
    static void quantizeUndisturbed() throws IOException {
        model = SmallModel.ofLayers(folder.resolve("model"), LAYERS, 64);
        // Short, since every process encodes it anew.
        Path text = Files.writeString(
                folder.resolve("text"), "The city lies on the river and was taken in the war. ".repeat(60));
        options = new String[] {
            "--calibration",
            text.toString(),
            "--samples",
            "4",
            "--seq-len",
            "128",
            "--group-size",
            "64",
            "--max-shard-size",
            "60KB",
            "--threads",
            "1",
            // Plain loops are ready sooner than the Vector API, which is slow until it is compiled.
            "--device",
            "reference",
            "--method",
            "awq"
        };
        undisturbed = quantized(folder.resolve("undisturbed"), options);
        assertThat(undisturbed).containsKeys("model-00001-of-00003.safetensors", "quantization_report.json");
    }

    private static Map<String, String> quantized(Path out, String[] options) throws IOException {
        String[] arguments = Stream.concat(Stream.of("quantize", model.toString(), out.toString()), Stream.of(options))
                .toArray(String[]::new);
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return KilledCommand.hashes(out);
    }

    @Test
    void method_best_killed_ends_in_the_bytes_of_an_undisturbed_run() throws IOException, InterruptedException {
        String[] best = Stream.concat(
                        Stream.of(options).limit(options.length - 4), Stream.of("--method", "best", "--steps", "3"))
                .toArray(String[]::new);
        Path out = folder.resolve("best");
        KilledCommand quantize = new KilledCommand("quantize", model, out, folder.resolve("best.log"), best);
        Process process = quantize.startHeld(3, "--resume");
        quantize.awaitHeld(process);
        process.destroyForcibly().waitFor();
        assertThat(end(quantize.start("--resume"))).as(quantize.log()).isEqualTo(ExitCode.DONE);
        assertThat(KilledCommand.hashes(out)).isEqualTo(quantized(folder.resolve("best-undisturbed"), best));
    }

    @Test
    void killed_again_and_again_it_ends_in_the_bytes_of_an_undisturbed_run() throws IOException, InterruptedException {
        Path out = folder.resolve("killed");
        KilledCommand quantize = new KilledCommand("quantize", model, out, folder.resolve("killed.log"), options);
        for (int layers : new int[] {1, 3}) {
            Process process = quantize.startHeld(layers, "--resume");
            quantize.awaitHeld(process);
            process.destroyForcibly().waitFor();
            assertThat(process.exitValue()).as(quantize.log()).isEqualTo(137);
            assertThat(out).doesNotExist();
            assertThat(quantize.journaled()).isGreaterThanOrEqualTo(layers);
        }
        assertThat(end(quantize.start("--resume"))).as(quantize.log()).isEqualTo(ExitCode.DONE);
        assertThat(quantize.log()).containsPattern("resuming after layer [1-4] of 5");
        assertThat(KilledCommand.hashes(out)).isEqualTo(undisturbed);
        assertThat(quantize.state()).doesNotExist();
    }

    @Test
    void a_second_run_is_refused_and_sigterm_is_a_clean_stop_that_names_resume()
            throws IOException, InterruptedException {
        Path out = folder.resolve("stopped");
        KilledCommand quantize = new KilledCommand("quantize", model, out, folder.resolve("stopped.log"), options);
        Process process = quantize.startHeld(1);
        quantize.awaitHeld(process);
        TerminalCapture second = new TerminalCapture();
        assertThat(second.run(
                        "quantize",
                        model.toString(),
                        out.toString(),
                        "--resume",
                        "--method",
                        "rtn",
                        "--group-size",
                        "64"))
                .as("%s%n%s", second.err(), quantize.log())
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(second.err()).contains("another run of nibble (process " + process.pid() + ")");

        process.destroy();
        quantize.release();
        assertThat(end(process)).as(quantize.log()).isEqualTo(ExitCode.TERMINATED);
        assertThat(quantize.log()).contains("layers are safe in", "run the same command with --resume");

        TerminalCapture other = new TerminalCapture();
        assertThat(other.run("quantize", model.toString(), out.toString(), "--resume", "--group-size", "32"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(other.err()).contains("--group-size: found 32, expected 64", "calibration: found");

        assertThat(end(quantize.start("--resume"))).as(quantize.log()).isEqualTo(ExitCode.DONE);
        assertThat(KilledCommand.hashes(out)).isEqualTo(undisturbed);
    }

    /** A tensor is a file here, and so a part of its own. */
    @Test
    void a_conversion_killed_twice_ends_in_the_bytes_of_an_undisturbed_one() throws IOException, InterruptedException {
        String[] small = {"--format", "gguf", "--type", "Q4_0", "--max-shard-size", "1KB", "--threads", "1"};
        Path whole = folder.resolve("converted");
        String[] arguments = Stream.concat(Stream.of("convert", model.toString(), whole.toString()), Stream.of(small))
                .toArray(String[]::new);
        assertThat(new TerminalCapture().run(arguments)).isEqualTo(ExitCode.DONE);
        Path out = folder.resolve("conversion");
        KilledCommand convert = new KilledCommand("convert", model, out, folder.resolve("conversion.log"), small);
        for (int parts : new int[] {2, 9}) {
            Process process = convert.startHeld(parts, "--resume");
            convert.awaitHeld(process);
            process.destroyForcibly().waitFor();
            assertThat(process.exitValue()).as(convert.log()).isEqualTo(137);
            assertThat(out).doesNotExist();
        }
        assertThat(end(convert.start("--resume"))).as(convert.log()).isEqualTo(ExitCode.DONE);
        assertThat(convert.log()).containsPattern("resuming after \\d+ of 47 tensors");
        assertThat(KilledCommand.hashes(out)).isEqualTo(KilledCommand.hashes(whole));
        assertThat(convert.state()).doesNotExist();
    }

    private static int end(Process process) throws InterruptedException {
        assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
        return process.exitValue();
    }
}
