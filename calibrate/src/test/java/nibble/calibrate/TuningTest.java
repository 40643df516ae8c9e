package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import nibble.calibrate.job.BestSettings;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The steps after the last layer, on tiny models; its parts in {@link nibble.calibrate.tune}. */
class TuningTest {
    private static final Path MODELS = Path.of("..", "checkpoint", "src", "test", "resources", "architectures");
    private static final int STEPS = 5;
    private static final int LENGTH = 20;

    @TempDir
    Path temp;

    /** Told of each step. */
    interface OnStep {
        void at(int step, StopSignal stop) throws IOException;
    }

    private QuantizationReport run(Path out, String model, QuantizeOptions options, boolean resume, OnStep onStep) {
        return run(out, model, options, blocks(11), resume, onStep);
    }

    private static QuantizationReport run(
            Path out, String model, QuantizeOptions options, TokenBlocks blocks, boolean resume, OnStep onStep) {
        return run("cpu", out, model, options, blocks, resume, onStep);
    }

    static QuantizationReport run(
            String device,
            Path out,
            String model,
            QuantizeOptions options,
            TokenBlocks blocks,
            boolean resume,
            OnStep onStep) {
        StopSignal stop = new StopSignal();
        ProgressListener listener = new ProgressListener() {
            @Override
            public void stepFinished(int step, int steps, double divergence) {
                try {
                    onStep.at(step, stop);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            }
        };
        try (Checkpoint source = Checkpoint.open(MODELS.resolve(model));
                QuantizationDevices devices = Backends.openForQuantization(device, 2, Long.MAX_VALUE)) {
            return CheckpointQuantizer.quantize(
                    new QuantizationJob(source, Optional.of(blocks), options), out, resume, devices, listener, stop);
        }
    }

    private static QuantizeOptions options(QuantizedFormat format, int steps, boolean codes, long maxShardBytes) {
        return new QuantizeOptions(
                Method.BEST,
                new QuantizationSpec(4, 32),
                format,
                maxShardBytes,
                2,
                false,
                new BestSettings(Integer.MAX_VALUE, steps, 1024, codes));
    }

    /** Options of steps that move scales and norms alone. */
    static QuantizeOptions options(int steps) {
        return options(QuantizedFormat.AWQ_GEMM, steps, false, 1 << 20);
    }

    /** Options of steps that move codes too. */
    static QuantizeOptions movingCodes(int steps) {
        return options(QuantizedFormat.AWQ_GEMM, steps, true, 1 << 20);
    }

    static TokenBlocks blocks(int count) {
        Random random = new Random(4);
        int[][] blocks = new int[count][LENGTH];
        for (int[] block : blocks) {
            for (int i = 0; i < LENGTH; i++) {
                block[i] = random.nextInt(256);
            }
        }
        return new TokenBlocks(blocks, 1000, "random ids");
    }

    /** What the report says of a model is what its reader finds. */
    @ParameterizedTest
    @ValueSource(strings = {"smollm", "llama-bias", "mistral", "qwen2", "qwen3", "phi3", "gemma"})
    void the_reported_divergence_is_that_of_the_written_model(String model) throws IOException {
        QuantizationReport fitted = run(temp.resolve("fitted"), model, options(0), false, (step, stop) -> {});
        QuantizationReport report = run(temp.resolve("tuned"), model, movingCodes(STEPS), false, (step, stop) -> {});

        assertThat(fitted.tuning()).isNull();
        QuantizationReport.Tuning tuning = java.util.Objects.requireNonNull(report.tuning());
        assertThat(tuning.steps()).isEqualTo(STEPS);
        assertThat(tuning.heldOutTokens()).isEqualTo(LENGTH);
        assertThat(tuning.kept()).isEqualTo(tuning.divergenceAfter() < tuning.divergenceBefore());
        // Of eleven blocks the eighth is held back.
        assertThat(divergence(temp.resolve("fitted"), model, blocks(11).blocks()[7]))
                .isCloseTo(tuning.divergenceBefore(), within(1e-4 * tuning.divergenceBefore() + 1e-5));
        double written = tuning.kept() ? tuning.divergenceAfter() : tuning.divergenceBefore();
        assertThat(divergence(temp.resolve("tuned"), model, blocks(11).blocks()[7]))
                .isCloseTo(written, within(1e-4 * written + 1e-5));
    }

    static double divergence(Path made, String model, int[] ids) {
        float[][] logits = new float[2][];
        int vocabulary;
        try (Backend backend = Backends.open("cpu", 2);
                Checkpoint original = Checkpoint.open(MODELS.resolve(model));
                Checkpoint quantized = Checkpoint.open(made);
                Llama first = Llama.load(original, backend);
                Llama second = Llama.load(quantized, backend)) {
            logits[0] = first.logits(ids);
            logits[1] = second.logits(ids);
            vocabulary = first.vocabularySize();
        }
        double sum = 0;
        for (int t = 0; t < ids.length; t++) {
            double[] logSums = new double[2];
            for (int m = 0; m < 2; m++) {
                for (int v = 0; v < vocabulary; v++) {
                    logSums[m] += Math.exp(logits[m][t * vocabulary + v]);
                }
                logSums[m] = Math.log(logSums[m]);
            }
            for (int v = 0; v < vocabulary; v++) {
                double p = logits[0][t * vocabulary + v] - logSums[0];
                sum += Math.exp(p) * (p - (logits[1][t * vocabulary + v] - logSums[1]));
            }
        }
        return sum / ids.length;
    }

    @ParameterizedTest
    @EnumSource(QuantizedFormat.class)
    void only_scales_and_norms_change_in_every_layout(QuantizedFormat format) throws IOException {
        run(temp.resolve("fitted"), "smollm", options(format, 0, false, 1 << 20), false, (step, stop) -> {});
        QuantizationReport report =
                run(temp.resolve("tuned"), "smollm", options(format, STEPS, false, 1 << 20), false, (step, stop) -> {});

        assertThat(java.util.Objects.requireNonNull(report.tuning()).kept()).isTrue();
        try (Checkpoint fitted = Checkpoint.open(temp.resolve("fitted"));
                Checkpoint tuned = Checkpoint.open(temp.resolve("tuned"))) {
            assertThat(tuned.names()).isEqualTo(fitted.names());
            tuned.names().forEach(name -> {
                boolean unchanged =
                        tuned.tensor(name).data().mismatch(fitted.tensor(name).data()) == -1;
                boolean moves = name.contains("scale") || name.contains("norm");
                assertThat(unchanged).as(name).isNotEqualTo(moves);
            });
        }
    }

    @ParameterizedTest
    @EnumSource(QuantizedFormat.class)
    void codes_change_too_in_every_layout_and_zeros_stay(QuantizedFormat format) throws IOException {
        // The held-back block is one that steps are taken on, so what they learn counts.
        int[][] same = blocks(11).blocks();
        same[7] = same[0];
        TokenBlocks blocks = new TokenBlocks(same, 1000, "random ids");
        run(temp.resolve("fitted"), "smollm", options(format, 0, false, 1 << 20), blocks, false, (step, stop) -> {});
        QuantizationReport report = run(
                temp.resolve("tuned"),
                "smollm",
                options(format, 300, true, 1 << 20),
                blocks,
                false,
                (step, stop) -> {});

        QuantizationReport.Tuning tuning = java.util.Objects.requireNonNull(report.tuning());
        assertThat(tuning.kept()).isTrue();
        assertThat(tuning.codes()).isTrue();
        assertThat(tuning.movedCodes()).isBetween(0.001, 0.5);
        try (Checkpoint fitted = Checkpoint.open(temp.resolve("fitted"));
                Checkpoint tuned = Checkpoint.open(temp.resolve("tuned"))) {
            tuned.names().forEach(name -> {
                boolean unchanged =
                        tuned.tensor(name).data().mismatch(fitted.tensor(name).data()) == -1;
                boolean moves = name.contains("scale")
                        || name.contains("norm")
                        || name.endsWith("qweight")
                        || name.endsWith("weight_packed");
                assertThat(unchanged).as(name).isNotEqualTo(moves);
            });
        }
    }

    /** Whatever decides whether codes move must not have changed. */
    @Test
    void a_run_that_moved_codes_is_not_resumed_without() {
        Path out = temp.resolve("out");
        assertThatThrownBy(() -> run(out, "smollm", movingCodes(STEPS), false, (step, stop) -> stop.raise()))
                .isInstanceOf(StoppedException.class);
        assertThatThrownBy(() -> run(out, "smollm", options(STEPS), true, (step, stop) -> {}))
                .hasMessageContaining("codes in these steps");
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_run_stopped_at_any_step_ends_in_the_same_bytes(boolean codes) throws IOException {
        QuantizeOptions options = codes ? movingCodes(STEPS) : options(STEPS);
        run(temp.resolve("whole"), "qwen3", options, false, (step, stop) -> {});
        for (int last : new int[] {1, 3, STEPS}) {
            Path out = temp.resolve("out" + last);
            assertThatThrownBy(() -> run(out, "qwen3", options, false, (step, stop) -> {
                        if (step == last) {
                            stop.raise();
                        }
                    }))
                    .isInstanceOf(StoppedException.class)
                    .hasMessageContaining("--resume");
            assertThat(out).doesNotExist();
            int[] steps = new int[1];
            QuantizationReport resumed = run(out, "qwen3", options, true, (step, stop) -> steps[0]++);
            assertThat(steps[0]).isEqualTo(STEPS - last);
            assertThat(resumed.times().resumedLayers()).isEqualTo(2);
            assertThat(contents(out)).isEqualTo(contents(temp.resolve("whole")));
        }
    }

    @Test
    void other_steps_are_refused_on_resume() {
        Path out = temp.resolve("out");
        assertThatThrownBy(() -> run(out, "smollm", options(STEPS), false, (step, stop) -> stop.raise()))
                .isInstanceOf(StoppedException.class);
        assertThatThrownBy(() -> run(out, "smollm", options(STEPS + 1), true, (step, stop) -> {}))
                .hasMessageContaining("--steps");
    }

    /** A shard goes away when all steps are done: some shards have the tuned scales by then, others not. */
    @Test
    void a_run_that_ends_while_shards_are_changed_goes_on() throws IOException {
        QuantizeOptions manyShards = options(QuantizedFormat.AWQ_GEMM, STEPS, true, 1);
        run(temp.resolve("whole"), "smollm", manyShards, false, (step, stop) -> {});
        Path out = temp.resolve("out");
        Path output = temp.resolve(".out.unfinished").resolve("output");
        Path away = temp.resolve("away");
        Path[] shard = new Path[1];
        assertThatThrownBy(() -> run(out, "smollm", manyShards, false, (step, stop) -> {
                    if (step == STEPS) {
                        shard[0] = lastShardWith(output, "down_proj.scales");
                        Files.move(shard[0], away);
                    }
                }))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("--resume");
        Files.move(away, shard[0]);

        int[] steps = new int[1];
        QuantizationReport report = run(out, "smollm", manyShards, true, (step, stop) -> steps[0]++);

        assertThat(steps[0]).isZero();
        assertThat(report.times().resumedLayers()).isEqualTo(2);
        assertThat(contents(out)).isEqualTo(contents(temp.resolve("whole")));
    }

    /** Two random sequences are soon learnt by heart. */
    @Test
    void a_tuned_model_that_diverges_more_on_held_out_text_is_not_written() throws IOException {
        TokenBlocks few = blocks(3);
        run(temp.resolve("fitted"), "smollm", options(0), few, false, (step, stop) -> {});
        QuantizationReport report =
                run(temp.resolve("tuned"), "smollm", movingCodes(400), few, false, (step, stop) -> {});

        QuantizationReport.Tuning tuning = java.util.Objects.requireNonNull(report.tuning());
        assertThat(tuning.divergenceAfter()).isGreaterThan(tuning.divergenceBefore());
        assertThat(tuning.kept()).isFalse();
        assertThat(report.warnings()).anySatisfy(warning -> assertThat(warning).contains("stay as fitted"));
        assertThat(contents(temp.resolve("tuned")).get("model.safetensors"))
                .isEqualTo(contents(temp.resolve("fitted")).get("model.safetensors"));
    }

    private static Path lastShardWith(Path folder, String tensor) throws IOException {
        try (var files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".safetensors"))
                    .sorted()
                    .filter(file -> ResumeCase.text(file).contains(tensor))
                    .reduce((first, second) -> second)
                    .orElseThrow();
        }
    }

    @Test
    void a_text_too_short_to_hold_any_of_it_back_is_a_warning() throws IOException {
        TokenBlocks one = blocks(1);
        run(temp.resolve("fitted"), "smollm", options(0), one, false, (step, stop) -> {});
        QuantizationReport report =
                run(temp.resolve("tuned"), "smollm", options(STEPS), one, false, (step, stop) -> {});

        assertThat(report.tuning()).isNull();
        assertThat(report.warnings()).anySatisfy(warning -> assertThat(warning).contains("too short to tune"));
        Map<String, String> fitted = contents(temp.resolve("fitted"));
        Map<String, String> tuned = contents(temp.resolve("tuned"));
        fitted.remove(QuantizationReport.FILE_NAME);
        tuned.remove(QuantizationReport.FILE_NAME);
        assertThat(tuned).isEqualTo(fitted);
    }

    /** SHA-256 of each file. */
    static Map<String, String> contents(Path folder) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (var files = Files.list(folder)) {
            for (Path file : files.toList()) {
                contents.put(file.getFileName().toString(), Sha256.of(file));
            }
        }
        assertThat(contents).containsKey("config.json");
        return contents;
    }
}
