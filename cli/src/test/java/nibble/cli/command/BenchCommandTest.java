package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.inspect.ModelShape;
import nibble.cli.KilledCommand;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.files.Version;
import nibble.pack.WeightReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchCommandTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private void make(String name, String... more) {
        TerminalCapture terminal = new TerminalCapture();
        String[] arguments = new String[5 + more.length];
        System.arraycopy(
                new String[] {
                    "bench",
                    "make-model",
                    "--shape",
                    "tiny",
                    folder.resolve(name).toString()
                },
                0,
                arguments,
                0,
                5);
        System.arraycopy(more, 0, arguments, 5, more.length);
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
    }

    /** Each format is measured from its own bits: the bytes that a token reads are those of its linears and head. */
    @Test
    void the_engine_is_timed_on_a_checkpoint() throws IOException {
        make(
                "dense",
                "--layers",
                "1",
                "--tokenizer",
                ROOT.resolve("models/wiki-7m").toString());
        Path dense = folder.resolve("dense");
        TerminalCapture convert = new TerminalCapture();
        assertThat(convert.run(
                        "convert",
                        dense.toString(),
                        folder.resolve("q").toString(),
                        "--format",
                        "gguf",
                        "--type",
                        "Q8_0"))
                .as(convert.err())
                .isEqualTo(ExitCode.DONE);
        long[] bytes = new long[2];
        for (int i = 0; i < 2; i++) {
            TerminalCapture terminal = new TerminalCapture();
            String model = (i == 0 ? dense : folder.resolve("q")).toString();
            assertThat(terminal.run(
                            "bench",
                            "engine",
                            "--model",
                            model,
                            "--device",
                            "cpu",
                            "--threads",
                            "2",
                            "--seq-len",
                            "16",
                            "--decode-context",
                            "4",
                            "--decode-tokens",
                            "3",
                            "--json",
                            "-"))
                    .as(terminal.err())
                    .isEqualTo(ExitCode.DONE);
            JsonNode json = new ObjectMapper().readTree(terminal.out());
            assertThat(json.path("decode_tokens_per_second").doubleValue()).isPositive();
            assertThat(json.path("prefill_tokens_per_second").doubleValue()).isPositive();
            assertThat(json.path("prefill_tokens").intValue()).isEqualTo(16);
            bytes[i] = json.path("weight_bytes_per_token").longValue();
        }
        // 34 bytes for 32 weights of 2 bytes.
        assertThat(bytes[1]).isEqualTo(bytes[0] / 64 * 34);
    }

    @Test
    void the_steps_of_method_best_are_timed_at_a_depth_of_their_own() throws IOException {
        String[] arguments =
                "bench quantize --shape tiny --layers 1 --method best --samples 8 --seq-len 32 --device cpu --threads 2"
                        .concat(" --steps 7 --tuning-layers 2 --json -")
                        .split(" ");
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        JsonNode json = new ObjectMapper().readTree(terminal.out());
        assertThat(json.path("layers").intValue()).isEqualTo(1);
        JsonNode tuning = json.path("tuning");
        assertThat(tuning.path("layers").intValue()).isEqualTo(2);
        assertThat(tuning.path("steps").intValue()).isEqualTo(7);
        assertThat(tuning.path("step_seconds").doubleValue()).isPositive();
        assertThat(tuning.path("pass_seconds").doubleValue()).isPositive();
        assertThat(tuning.path("room").path("codes").intValue()).isEqualTo(2);
    }

    @Test
    void layers_to_tune_need_steps() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("bench", "quantize", "--shape", "tiny", "--method", "awq", "--tuning-layers", "2"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--tuning-layers 2: this run has no steps of tuning");
    }

    @Test
    void what_to_time_must_be_said() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("bench", "engine")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--shape is missing; known are llama-2-7b");
    }

    @Test
    void a_made_model_is_a_whole_checkpoint_in_shards_with_its_tokenizer() throws IOException {
        make(
                "model",
                "--layers",
                "2",
                "--max-shard-size",
                "800kB",
                "--tokenizer",
                ROOT.resolve("models/wiki-7m").toString());
        Path model = folder.resolve("model");
        assertThat(model.resolve("model.safetensors.index.json")).exists();
        try (Checkpoint checkpoint = Checkpoint.open(model);
                Tokenizer tokenizer = Tokenizers.open(model)) {
            assertThat(checkpoint.config().layers()).isEqualTo(2);
            assertThat(tokenizer.vocabularySize()).isEqualTo(checkpoint.config().vocabularySize());
            for (Path shard : checkpoint.weightFiles()) {
                // A single tensor may be larger than the limit; the embedding is.
                assertThat(Files.size(shard)).isLessThan(1_100_000);
            }
        }
    }

    @Test
    void weights_are_of_realistic_scale_with_an_outlier_channel() {
        make("model", "--layers", "1");
        try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
            float[] gate = floats(checkpoint, "model.layers.0.mlp.gate_proj.weight");
            assertThat(deviation(gate, 0, gate.length, 1)).isBetween(0.0198, 0.0202);
            float[] norm = floats(checkpoint, "model.layers.0.input_layernorm.weight");
            assertThat(deviation(norm, 0, norm.length, 1)).isBetween(0.9, 1.1);

            float[] embedding = floats(checkpoint, "model.embed_tokens.weight");
            float[] down = floats(checkpoint, "model.layers.0.mlp.down_proj.weight");
            int outliers = 0;
            for (int channel = 0; channel < 128; channel++) {
                double columnScale = deviation(embedding, channel, embedding.length, 128);
                double rowScale = deviation(down, channel * 384, (channel + 1) * 384, 1);
                assertThat(columnScale > 0.1).as("channel %d", channel).isEqualTo(rowScale > 0.1);
                outliers += columnScale > 0.1 ? 1 : 0;
            }
            assertThat(outliers).isEqualTo(1);
        }
    }

    @Test
    void the_seed_decides_the_bytes_and_the_threads_do_not() throws IOException {
        make("one", "--threads", "1");
        make("two", "--threads", "3");
        make("other", "--seed", "1");
        assertThat(KilledCommand.hashes(folder.resolve("one"))).isEqualTo(KilledCommand.hashes(folder.resolve("two")));
        assertThat(folder.resolve("other/config.json")).hasSameBinaryContentAs(folder.resolve("one/config.json"));
        assertThat(KilledCommand.hashes(folder.resolve("other")))
                .isNotEqualTo(KilledCommand.hashes(folder.resolve("one")));
    }

    @Test
    void an_unknown_shape_is_wrong_usage_with_the_known_ones() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "bench",
                        "make-model",
                        "--shape",
                        "llama-9",
                        folder.resolve("x").toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("llama-9").contains(ModelShape.names());
    }

    @Test
    void a_tokenizer_too_large_for_the_shape_is_refused_before_anything_is_written() throws IOException {
        Path large = Files.createDirectory(folder.resolve("large"));
        Files.writeString(large.resolve("tokenizer.json"), """
            {"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
             "decoder": null, "model": {"type": "BPE", "vocab": {%s}, "merges": []}}
            """.formatted(java.util.stream.IntStream.range(0, 4097)
                .mapToObj(i -> "\"t" + i + "\": " + i)
                .collect(java.util.stream.Collectors.joining(","))));
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "bench",
                        "make-model",
                        "--shape",
                        "tiny",
                        "--tokenizer",
                        large.toString(),
                        folder.resolve("x").toString()))
                .as(terminal.err())
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("4097").contains("4096");
        assertThat(folder.resolve("x")).doesNotExist();
    }

    @Test
    void the_version_is_that_of_the_build_file() throws IOException {
        assertThat(Files.readString(ROOT.resolve("pom.xml")))
                .contains("<version>" + Version.NIBBLE + "-SNAPSHOT</version>");
    }

    private static float[] floats(Checkpoint checkpoint, String tensor) {
        return WeightReader.floats(checkpoint.tensor(tensor), checkpoint.fileOf(tensor));
    }

    /** Root of the mean square of every {@code step}-th value. */
    private static double deviation(float[] values, int from, int to, int step) {
        double sum = 0;
        int n = 0;
        for (int i = from; i < to; i += step) {
            sum += (double) values[i] * values[i];
            n++;
        }
        return Math.sqrt(sum / n);
    }
}
