package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.DType;
import nibble.cli.terminal.ExitCode;
import nibble.convert.blocks.Importance;
import nibble.convert.blocks.ImportanceFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What commands do with a tiny random mixture of experts of every architecture. */
class EveryMixtureTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int TOKENS = 4 * 32;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path model(String name) throws IOException {
        return TinyModel.copy(folder, name);
    }

    private Path quantize(Path model, String name, String... options) throws IOException {
        Path out = folder.resolve(name);
        List<Object> arguments = new ArrayList<>(List.of("quantize", model, out, "--group-size", "32"));
        arguments.addAll(List.of("--samples", "4", "--seq-len", "32", "--device", "cpu"));
        arguments.addAll(List.of("--calibration", folder.resolve("text.txt")));
        arguments.addAll(List.of(options));
        TinyModel.run(arguments.toArray());
        return out;
    }

    /** @param chosen experts of a token */
    @ParameterizedTest
    @CsvSource({
        "mixtral, 5, 2",
        "mixtral-fused, 5, 2",
        "qwen2-moe, 6, 3",
        "qwen3-moe, 8, 2",
        "olmoe, 6, 3",
        "phimoe, 6, 2",
        "deepseek2-lite, 8, 3",
        "deepseek2, 8, 3",
        "deepseek3, 8, 3",
        "gpt-oss, 4, 2",
        "gpt-oss-mxfp4, 4, 2",
        "llama4, 6, 2"
    })
    void is_quantized_verified_converted_and_measured(String name, int experts, int chosen) throws IOException {
        Path model = model(name);
        Path awq = quantize(model, "awq", "--method", "awq");
        TinyModel.run("verify", awq, "--against", model);
        JsonNode report = JSON.readTree(awq.resolve("quantization_report.json").toFile());
        assertThat(report.get("mean_relative_error").asDouble())
                .isBetween(0.0, report.get("mean_rtn_relative_error").asDouble());
        JsonNode seen = report.at("/layers/" + mixed(name) + "/experts");
        assertThat(seen.get("tokens_needed").asInt())
                .isEqualTo(seen.get("tokens_per_column").asInt() * 32);
        assertThat(seen.get("routed_tokens")).hasSize(experts);
        int routed = 0;
        for (int i = 0; i < experts; i++) {
            int tokens = seen.get("routed_tokens").get(i).asInt();
            routed += tokens;
            assertThat(tokens + seen.get("added_tokens").get(i).asInt()).isBetween(64, TOKENS);
        }
        assertThat(routed).isEqualTo(chosen * TOKENS);

        JsonNode gates =
                JSON.readTree(awq.resolve("config.json").toFile()).at("/quantization_config/modules_to_not_convert");
        assertThat(gates.get(0).asText())
                .isEqualTo(
                        name.startsWith("mixtral") || name.equals("phimoe")
                                ? "model.layers.0.block_sparse_moe.gate"
                                : name.startsWith("gpt-oss")
                                        ? "model.layers.0.mlp.router"
                                        : name.equals("llama4")
                                                ? "model.layers.1.feed_forward.router"
                                                : "model.layers." + mixed(name) + ".mlp.gate");
        Path dense = folder.resolve("dense");
        TinyModel.run("convert", awq, dense, "--format", "safetensors");
        double original = perplexity(model);
        double quantized = perplexity(awq);
        assertThat(perplexity(dense)).isEqualTo(quantized);
        assertThat(quantized).isBetween(original / 3, 3 * original);
        for (String format : List.of("gptq", "compressed-tensors")) {
            Path other = folder.resolve(format);
            TinyModel.run("convert", awq, other, "--format", format);
            TinyModel.run("verify", other, "--against", model);
            assertThat(perplexity(other)).isCloseTo(quantized, within(1e-9 * quantized));
            Path back = folder.resolve("back-" + format);
            TinyModel.run("convert", other, back, "--format", "awq");
            assertThat(back.resolve("model.safetensors")).hasSameBinaryContentAs(awq.resolve("model.safetensors"));
        }
        TinyModel.run("generate", awq, "--prompt", "The ", "--max-new-tokens", "4");
        JsonNode plan = TinyModel.plan(model, folder.resolve("text.txt"), "--method", "awq");
        assertThat(plan.get("weight_file_bytes").asLong()).isEqualTo(Files.size(awq.resolve("model.safetensors")));
    }

    @ParameterizedTest
    @CsvSource({"qwen2-moe, awq", "qwen3-moe, rtn", "mixtral, best"})
    void has_the_same_bytes_with_any_number_of_threads(String name, String method) throws IOException {
        Path model = model(name);
        Path one = quantize(model, "one", "--method", method, "--threads", "1");
        Path two = quantize(model, "two", "--method", method, "--threads", "2");
        assertThat(two.resolve("model.safetensors")).hasSameBinaryContentAs(one.resolve("model.safetensors"));
        assertThat(two.resolve("quantization_report.json"))
                .hasSameBinaryContentAs(one.resolve("quantization_report.json"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "mixtral",
                "qwen2-moe",
                "qwen3-moe",
                "olmoe",
                "phimoe",
                "gpt-oss",
                "deepseek2-lite",
                "deepseek2",
                "deepseek3",
                "llama4"
            })
    void is_fitted_with_less_error_than_plain_rounding_leaves(String name) throws IOException {
        Path model = model(name);
        Path fitted = quantize(model, "fitted", "--method", "best");
        JsonNode report =
                JSON.readTree(fitted.resolve("quantization_report.json").toFile());
        assertThat(report.get("mean_relative_error").asDouble())
                .isBetween(0.0, 0.5 * report.get("mean_rtn_relative_error").asDouble());
        assertThat(report.at("/layers/" + mixed(name) + "/experts/routed_tokens"))
                .isNotEmpty();
        TinyModel.run("verify", fitted, "--against", model);
        TerminalCapture terminal = new TerminalCapture();
        String text = folder.resolve("text.txt").toString();
        assertThat(terminal.run(
                        "quantize",
                        model.toString(),
                        folder.resolve("tuned").toString(),
                        "--method",
                        "best",
                        "--steps",
                        "8",
                        "--group-size",
                        "32",
                        "--samples",
                        "4",
                        "--seq-len",
                        "32",
                        "--calibration",
                        text,
                        "--device",
                        "cpu"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err())
                .contains("steps of tuning are not yet taken for mixtures of experts; give --steps 0")
                .doesNotContain("room for positions", "reading");
    }

    /** Tensors and metadata of these files are those of llama.cpp's own converter, bit by bit. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "mixtral",
                "mixtral-fused",
                "qwen3-moe",
                "olmoe",
                "phimoe",
                "gpt-oss",
                "gpt-oss-mxfp4",
                "deepseek2-lite",
                "deepseek3"
            })
    void stacked_experts_of_a_gguf_file_come_back(String name) throws IOException {
        Path model = model(name);
        double original = perplexity(model);
        for (String type : List.of("F16", "Q8_0")) {
            Path gguf = folder.resolve(type);
            TinyModel.run("convert", model, gguf, "--format", "gguf", "--type", type);
            Path file = gguf.resolve(name + "-" + type + ".gguf");
            // What 8 bits lose moves a token of such a model to another expert now and then.
            double bound = type.equals("F16") ? 1e-9 : 0.5;
            assertThat(perplexity(file)).isCloseTo(original, within(bound * original));
            assertThat(TinyModel.json("inspect", file, "--json", "-")
                            .get("tensors")
                            .findValuesAsText("name"))
                    .contains("blk." + mixed(name) + ".ffn_gate_inp.weight", "blk.1.ffn_down_exps.weight");
        }
        Path back = folder.resolve("back");
        TinyModel.run("convert", folder.resolve("F16").resolve(name + "-F16.gguf"), back, "--format", "safetensors");
        assertThat(perplexity(back)).isEqualTo(original);
    }

    /** llama.cpp knows chunks and growth of queries by the name alone; this file too equals its converter's. */
    @Test
    void llama_4_has_a_form_in_gguf_with_the_numbers_that_llama_cpp_assumes() throws IOException {
        Path model = model("llama4");
        String[] convert = {
            "convert", model.toString(), folder.resolve("gguf").toString(), "--format", "gguf", "--type", "F16"
        };
        TerminalCapture refused = new TerminalCapture();
        assertThat(refused.run(convert)).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(refused.err()).contains("attention_chunk_size 9 has no form in GGUF, where it is 8192");
        Path config = model.resolve("config.json");
        Files.writeString(
                config,
                Files.readString(config)
                        .replaceFirst("\"attention_chunk_size\": 9", "\"attention_chunk_size\": 8192")
                        .replaceFirst("\"attn_scale\": 0.5", "\"attn_scale\": 0.1")
                        .replaceFirst("\"floor_scale\": 8", "\"floor_scale\": 8192"));
        TinyModel.run((Object[]) convert);
        Path file = folder.resolve("gguf/llama4-F16.gguf");
        double original = perplexity(model);
        assertThat(perplexity(file)).isCloseTo(original, within(1e-6 * original));
        assertThat(TinyModel.json("inspect", file, "--json", "-").get("tensors").findValuesAsText("name"))
                .contains("rope_freqs.weight", "blk.0.ffn_gate.weight", "blk.1.ffn_gate_shexp.weight");
    }

    /** Each expert by the tokens that the router sends to it, as llama.cpp counts. */
    @Test
    void importance_is_measured_for_each_expert_and_is_the_same_from_its_file() throws IOException {
        Importance found = measured("qwen3-moe");
        for (String linear : List.of("gate", "up", "down")) {
            Importance.Entry entry = found.entries().get("blk.1.ffn_" + linear + "_exps.weight");
            assertThat(entry.squares()).hasSize(8 * 32);
            assertThat(entry.counts()).hasSize(8);
            double tokens = 0;
            for (int expert = 0; expert < 8; expert++) {
                tokens += entry.counts()[expert];
                double sum = 0;
                for (int i = 0; i < 32; i++) {
                    sum += entry.squares()[32 * expert + i];
                }
                assertThat(sum > 0).isEqualTo(entry.counts()[expert] > 0);
            }
            assertThat(tokens).isEqualTo(2 * TOKENS);
        }
    }

    /** The halves of kv_b_proj count what each head reads, and the tokens once, as llama.cpp counts them. */
    @ParameterizedTest
    @CsvSource({"deepseek2-lite, false", "deepseek3, true"})
    void importance_of_latent_attention_has_the_names_of_llama_cpp(String name, boolean narrowQueries)
            throws IOException {
        Importance found = measured(name);
        List<String> attention = new ArrayList<>(List.of("attn_k_b", "attn_kv_a_mqa", "attn_output", "attn_v_b"));
        attention.addAll(narrowQueries ? List.of("attn_q_a", "attn_q_b") : List.of("attn_q"));
        List<String> names = found.entries().keySet().stream()
                .filter(tensor -> tensor.startsWith("blk.1."))
                .map(tensor -> tensor.substring(6).replace(".weight", ""))
                .toList();
        List<String> all = new ArrayList<>(attention);
        for (String linear : List.of("ffn_down", "ffn_gate", "ffn_up")) {
            all.addAll(List.of(linear + "_exps", linear + "_shexp"));
        }
        assertThat(names).containsExactlyInAnyOrderElementsOf(all);
        JsonNode config =
                JSON.readTree(folder.resolve(name).resolve("config.json").toFile());
        int heads = config.get("num_attention_heads").asInt();
        for (String half : List.of("attn_k_b", "attn_v_b")) {
            Importance.Entry entry = found.entries().get("blk.1." + half + ".weight");
            String width = half.equals("attn_k_b") ? "qk_nope_head_dim" : "kv_lora_rank";
            assertThat(entry.squares()).hasSize(heads * config.get(width).asInt());
            assertThat(entry.counts()).containsExactly(TOKENS);
        }
    }

    /** Importance of a model, by which a file was written; it has the same bytes by the importance's own file. */
    private Importance measured(String name) throws IOException {
        Path model = model(name);
        Path measured = folder.resolve("measured");
        Path matrix = folder.resolve("importance.gguf");
        List<Object> convert = List.of("convert", model, measured, "--format", "gguf", "--type", "Q4_K_M");
        List<Object> measure = new ArrayList<>(convert);
        measure.addAll(List.of("--calibration", folder.resolve("text.txt"), "--samples", "4", "--seq-len", "32"));
        measure.addAll(List.of("--save-importance", matrix, "--device", "cpu"));
        TinyModel.run(measure.toArray());
        Path read = folder.resolve("read");
        Path plain = folder.resolve("plain");
        TinyModel.run("convert", model, read, "--format", "gguf", "--type", "Q4_K_M", "--importance", matrix);
        TinyModel.run("convert", model, plain, "--format", "gguf", "--type", "Q4_K_M");
        String file = name + "-Q4_K_M.gguf";
        assertThat(read.resolve(file)).hasSameBinaryContentAs(measured.resolve(file));
        assertThat(Files.mismatch(read.resolve(file), plain.resolve(file))).isNotNegative();
        return ImportanceFile.read(matrix);
    }

    /** Experts that are in MXFP4 stay as they are; those that are not can be rounded to it. */
    @Test
    void mxfp4_is_kept_and_made() throws IOException {
        Path published = model("gpt-oss-mxfp4");
        Path kept = folder.resolve("kept");
        TinyModel.run("convert", published, kept, "--format", "gguf", "--type", "Q4_K_M");
        Path again = folder.resolve("again");
        double original = perplexity(published);
        TinyModel.run("convert", published, again, "--format", "gguf", "--type", "MXFP4_MOE");
        for (Path file :
                List.of(kept.resolve("gpt-oss-mxfp4-Q4_K_M.gguf"), again.resolve("gpt-oss-mxfp4-MXFP4_MOE.gguf"))) {
            assertThat(TinyModel.run("inspect", file)).contains("MXFP4");
            assertThat(perplexity(file)).isBetween(original / 2, 2 * original);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "qwen2-moe, layer 1 without experts has no form in GGUF",
        "deepseek2, experts from the 2 groups with the best ones have no form in GGUF"
    })
    void what_llama_cpp_would_compute_otherwise_has_no_form_in_gguf(String name, String message) throws IOException {
        TerminalCapture terminal = new TerminalCapture();
        String out = folder.resolve("gguf").toString();
        assertThat(terminal.run("convert", model(name).toString(), out, "--format", "gguf", "--type", "F16"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains(message);
    }

    /** The first layer with experts. */
    private static int mixed(String name) {
        return List.of("deepseek2-lite", "deepseek3", "llama4").contains(name) ? 1 : 0;
    }

    /** In 16 bits, tokens would come to other experts. */
    @Test
    void what_deepseek_v3_adds_to_scores_keeps_every_bit_in_each_format() throws IOException {
        Path model = model("deepseek3");
        Path awq = quantize(model, "awq", "--method", "rtn");
        Path half = folder.resolve("half");
        TinyModel.run("convert", awq, half, "--format", "safetensors", "--type", "F16");
        Path gguf = folder.resolve("gguf");
        TinyModel.run("convert", model, gguf, "--format", "gguf", "--type", "F16");
        Path gptq = folder.resolve("gptq");
        TinyModel.run("convert", awq, gptq, "--format", "gptq");
        String name = "model.layers.1.mlp.gate.e_score_correction_bias";
        try (Checkpoint source = Checkpoint.open(model)) {
            for (Path made : List.of(awq, half, gptq, gguf.resolve("deepseek3-F16.gguf"))) {
                try (Checkpoint output = Checkpoint.open(made)) {
                    assertThat(output.tensor(name).dtype()).isEqualTo(DType.F32);
                    assertThat(output.tensor(name)
                                    .data()
                                    .mismatch(source.tensor(name).data()))
                            .isEqualTo(-1);
                }
            }
        }
    }

    private double perplexity(Path model) throws IOException {
        return TinyModel.perplexity(model, folder.resolve("text.txt"), "48", "reference");
    }
}
