package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The first windows of docs/benchmarks.md, against figures that other programs gave for the same windows: of four
 * PyTorch in fp32 for fp16 weights and plain rounding, of 20 AutoAWQ's own quantizer on the same calibration tokens.
 */
class FiguresOfWiki7mTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final double FP16 = 26.894;
    private static final double PLAIN_ROUNDING = 28.640;
    private static final double AUTO_AWQ = 25.486;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void fp16_and_rounding_are_the_references_and_awq_is_better_than_autoawqs() throws IOException {
        Path rounded = quantized("rtn");
        Path searched = quantized("awq", "--samples", "16", "--seq-len", "1024");

        assertThat(perplexity(MODEL, 4)).isCloseTo(FP16, within(0.01));
        assertThat(perplexity(rounded, 4)).isCloseTo(PLAIN_ROUNDING, within(0.05));
        assertThat(perplexity(searched, 20)).isLessThan(AUTO_AWQ);
    }

    private Path quantized(String method, String... options) {
        Path out = folder.resolve(method);
        String[] arguments = new String[5 + options.length];
        System.arraycopy(
                new String[] {"quantize", MODEL.toString(), out.toString(), "--method", method}, 0, arguments, 0, 5);
        System.arraycopy(options, 0, arguments, 5, options.length);
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return out;
    }

    private static double perplexity(Path model, int windows) throws IOException {
        TerminalCapture terminal = new TerminalCapture();
        String[] eval = {"eval", "perplexity", model.toString(), "--windows", String.valueOf(windows), "--json", "-"};
        assertThat(terminal.run(eval)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return new ObjectMapper().readTree(terminal.out()).get("perplexity").asDouble();
    }
}
