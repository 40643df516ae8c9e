package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntFunction;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Weight;
import nibble.files.output.StopSignal;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Gates and ups of experts whose moments take turns are quantized to the bytes that they have without turns. */
class ExpertTurnsBytesTest extends ResumeCase {
    private static final int HIDDEN = 32;

    /** A device that has room for so many numbers of moments of gates and ups, and counts the moments there. */
    private record Small(QuantizationDevices devices, long room, List<Integer> widths) implements QuantizationDevices {
        @Override
        public long expertElements(ModelConfig config, Streams streams) {
            return room;
        }

        @Override
        public List<Backend> members() {
            return devices.members();
        }

        @Override
        public InputStatistics statistics(int columns) {
            widths.add(columns);
            return devices.statistics(columns);
        }

        @Override
        public PairedMoments pairedMoments(int columns, int residual) {
            widths.add(columns);
            return devices.pairedMoments(columns, residual);
        }

        @Override
        public LinearQuantizer quantizer(
                List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec) {
            return devices.quantizer(placed, original, file, spec);
        }

        @Override
        public <T> List<T> onEach(IntFunction<T> task) {
            return devices.onEach(task);
        }

        @Override
        public void synchronize() {
            devices.synchronize();
        }

        @Override
        public void close() {
            devices.close();
        }
    }

    /** Returns how many moments of so many columns were made. */
    private long quantized(Method method, long room, String device) {
        QuantizeOptions options = options(method, 32, 20_000);
        List<Integer> widths = new ArrayList<>();
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open(device, options.threads())) {
            CheckpointQuantizer.quantize(
                    new QuantizationJob(checkpoint, Optional.of(blocks(3)), options),
                    out,
                    false,
                    new Small(QuantizationDevices.of(backend), room, widths),
                    ProgressListener.NONE,
                    new StopSignal());
        }
        return widths.stream().filter(width -> width == HIDDEN).count();
    }

    @ParameterizedTest
    @CsvSource({"qwen2-moe, AWQ", "qwen2-moe, BEST", "deepseek2-lite, AWQ", "deepseek3, BEST", "gpt-oss, AWQ"})
    void output_with_turns_has_the_bytes_of_output_without(String model, Method method) throws IOException {
        requireSameBytes(model, method, "cpu");
    }

    @Tag("gpu")
    @ParameterizedTest
    @CsvSource({"qwen2-moe, AWQ", "qwen2-moe, BEST", "deepseek3, AWQ"})
    void on_a_card_too(String model, Method method) throws IOException {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
        requireSameBytes(model, method, "cuda:0");
    }

    private void requireSameBytes(String model, Method method, String device) throws IOException {
        source = Path.of("..", "checkpoint", "src", "test", "resources", "architectures", model);
        out = temp.resolve("together");
        long together = quantized(method, Long.MAX_VALUE, device);
        Map<String, String> expected = contents(out);
        for (int experts : new int[] {1, 3}) {
            out = temp.resolve("turns" + experts);
            long room = (method == Method.BEST ? 3L : 1L) * experts * HIDDEN * HIDDEN;
            assertThat(quantized(method, room, device))
                    .as("moments of %d at a time", experts)
                    .isGreaterThan(together);
            assertThat(contents(out)).isEqualTo(expected);
        }
    }
}
