package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.files.output.StoppedException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A mixture of experts, with a layer that has none between those that do. */
class ResumeMixtureTest extends ResumeCase {
    private static final int MIXTURE_LAYERS = 3;

    @ParameterizedTest
    @EnumSource(Method.class)
    void a_stopped_run_goes_on_to_the_same_bytes(Method method) throws IOException {
        source = Path.of("..", "checkpoint", "src", "test", "resources", "architectures", "qwen2-moe");
        QuantizeOptions options = options(method, 32, 20_000);
        out = temp.resolve("whole");
        QuantizationReport expected = run(options, blocks(3), false, -1);
        Map<String, String> whole = contents(out);

        out = temp.resolve("out");
        for (int layers = 1; layers < MIXTURE_LAYERS; layers++) {
            boolean resume = layers > 1;
            assertThatThrownBy(() -> run(options, blocks(3), resume, 1)).isInstanceOf(StoppedException.class);
        }
        QuantizationReport report = run(options, blocks(3), true, -1);
        assertThat(contents(out)).isEqualTo(whole);
        assertThat(report.layers()).isEqualTo(expected.layers());
        assertThat(report.times().resumedLayers()).isEqualTo(MIXTURE_LAYERS - 1);
    }
}
