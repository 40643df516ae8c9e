package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every command that reads a checkpoint, on a tiny random model of every architecture. */
class EveryArchitectureTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    static List<String> models() throws IOException {
        return TinyModel.dense();
    }

    /** These have numbers that GGUF has no key for; {@code GgufArchitecturesTest} has the others. */
    private static final Set<String> WITHOUT_GGUF =
            Set.of("gemma2", "gemma3", "smollm3", "olmo3", "llama-yarn", "seed-oss");

    private Path model(String name) throws IOException {
        return TinyModel.copy(folder, name);
    }

    @ParameterizedTest
    @MethodSource("models")
    void is_fitted_with_less_error_than_plain_rounding_leaves(String name) throws IOException {
        Path model = model(name);
        Path fitted = folder.resolve("fitted");
        List<Object> quantize = new ArrayList<>(List.of("quantize", model, fitted, "--method", "best"));
        quantize.addAll(List.of("--group-size", "32", "--samples", "4", "--seq-len", "32", "--device", "cpu"));
        quantize.addAll(List.of("--calibration", folder.resolve("text.txt"), "--json", "-"));
        // One takes as many as it takes by default. Norms of heads that subtract a mean have no gradients yet.
        if (!name.equals("smollm") && !name.equals("cohere-plus")) {
            quantize.addAll(List.of("--steps", "16"));
        }
        JsonNode report = TinyModel.json(quantize.toArray());
        assertThat(report.get("mean_relative_error").asDouble())
                .isBetween(0.0, 0.9 * report.get("mean_rtn_relative_error").asDouble());
        TinyModel.run("verify", fitted, "--against", model);
        double original = perplexity(model);
        assertThat(perplexity(fitted)).isBetween(original / 2, original * 2);
    }

    @ParameterizedTest
    @MethodSource("models")
    void is_quantized_verified_converted_and_measured(String name) throws IOException {
        Path model = model(name);
        Path awq = folder.resolve("awq");
        TinyModel.run(
                "quantize",
                model,
                awq,
                "--method",
                "awq",
                "--group-size",
                "32",
                "--samples",
                "4",
                "--seq-len",
                "32",
                "--calibration",
                folder.resolve("text.txt"));

        Set<String> expected = new TreeSet<>();
        for (String tensor : tensors(model)) {
            if (tensor.endsWith("_proj.weight") || tensor.endsWith("_linear.weight")) {
                String module = tensor.substring(0, tensor.length() - ".weight".length());
                expected.addAll(List.of(module + ".qweight", module + ".qzeros", module + ".scales"));
            } else {
                expected.add(tensor);
            }
        }
        assertThat(tensors(awq)).isEqualTo(expected);
        assertSameConfig(model, awq);
        TinyModel.run("verify", awq, "--against", model);
        TinyModel.run("card", awq, "--repo", "org/" + name + "-AWQ");
        String type = JSON.readTree(model.resolve("config.json").toFile())
                .get("model_type")
                .asText();
        assertThat(awq.resolve("README.md")).content().contains("model_type: \"" + type + "\"");
        JsonNode plan = TinyModel.plan(model, folder.resolve("text.txt"));
        assertThat(plan.get("weight_file_bytes").asLong()).isEqualTo(Files.size(awq.resolve("model.safetensors")));

        // Random weights of this size lose much by 4 bits; what is lost is a share of the logits, not all of them.
        double original = perplexity(model);
        double quantized = perplexity(awq);
        assertThat(quantized).isBetween(original / 2, original * 2).isNotEqualTo(original);
        Path dense = folder.resolve("dense");
        TinyModel.run("convert", awq, dense, "--format", "safetensors");
        assertThat(tensors(dense)).isEqualTo(tensors(model));
        assertThat(perplexity(dense)).isEqualTo(quantized);
        Path gptq = folder.resolve("gptq");
        TinyModel.run("convert", awq, gptq, "--format", "gptq");
        Path back = folder.resolve("back");
        TinyModel.run("convert", gptq, back, "--format", "awq");
        assertThat(back.resolve("model.safetensors")).hasSameBinaryContentAs(awq.resolve("model.safetensors"));

        Path gguf = folder.resolve("gguf");
        if (WITHOUT_GGUF.contains(name)) {
            assertThat(new TerminalCapture()
                            .run("convert", model.toString(), gguf.toString(), "--format", "gguf", "--type", "F16"))
                    .isEqualTo(ExitCode.BAD_INPUT);
            assertThat(gguf).doesNotExist();
        } else {
            TinyModel.run("convert", model, gguf, "--format", "gguf", "--type", "F16");
        }
        if (!WITHOUT_GGUF.contains(name) && !name.equals("mistral") && !name.equals("qwen3-window")) {
            // Gemma's norms, stored less one, are sums there.
            assertThat(perplexity(gguf)).isCloseTo(original, within(1e-6 * original));
        }
        TinyModel.run("generate", awq, "--prompt", "The ", "--max-new-tokens", "4");
    }

    @Test
    void a_window_that_gguf_has_no_form_for_ends_the_context_and_is_said() throws IOException {
        Path model = model("mistral");
        Path gguf = folder.resolve("gguf");
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("convert", model.toString(), gguf.toString(), "--format", "gguf", "--type", "F16"))
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.out()).contains("context of 7 tokens, not 64", "window of 7");
        assertThat(perplexity(gguf, "7")).isEqualTo(perplexity(model, "7"));
    }

    @Test
    void other_architectures_are_refused_by_name_with_what_is_supported() throws IOException {
        Path model = model("mistral");
        ObjectNode config =
                (ObjectNode) JSON.readTree(model.resolve("config.json").toFile());
        config.putArray("architectures").add("DeepseekForCausalLM");
        config.put("model_type", "deepseek");
        Files.writeString(model.resolve("config.json"), config.toString());
        TerminalCapture inspect = new TerminalCapture();
        assertThat(inspect.run("inspect", model.toString())).isEqualTo(ExitCode.DONE);
        assertThat(inspect.out()).contains("DeepseekForCausalLM: ", "mixture of experts) is not yet supported");
        for (String command : List.of("generate", "plan")) {
            TerminalCapture terminal = new TerminalCapture();
            String[] prompt = command.equals("generate") ? new String[] {"--prompt", "x"} : new String[0];
            String[] words = Stream.concat(Stream.of(command, model.toString()), Stream.of(prompt))
                    .toArray(String[]::new);
            assertThat(terminal.run(words)).isEqualTo(ExitCode.BAD_INPUT);
            assertThat(terminal.err())
                    .contains(
                            "DeepseekForCausalLM",
                            "mixture of experts",
                            "supported: LlamaForCausalLM, MistralForCausalLM");
        }
    }

    private static void assertSameConfig(Path model, Path quantized) throws IOException {
        ObjectNode expected =
                (ObjectNode) JSON.readTree(model.resolve("config.json").toFile());
        ObjectNode found =
                (ObjectNode) JSON.readTree(quantized.resolve("config.json").toFile());
        assertThat(found.remove("quantization_config").get("quant_method").asText())
                .isEqualTo("awq");
        assertThat(found).isEqualTo(expected);
    }

    private static Set<String> tensors(Path model) throws IOException {
        return new TreeSet<>(
                TinyModel.json("inspect", model, "--json", "-").get("tensors").findValuesAsText("name"));
    }

    private double perplexity(Path model) throws IOException {
        return perplexity(model, "48");
    }

    private double perplexity(Path model, String context) throws IOException {
        return TinyModel.perplexity(model, folder.resolve("text.txt"), context, "auto");
    }

    /** Keys in a cache of blocks would have to turn again where longrope's long factors begin, at 64 here. */
    @Test
    void a_text_beyond_longropes_original_length_is_refused_where_keys_lie_in_blocks() throws IOException {
        Path model = model("phi4-mini");
        String text = "The nibble is four bits. ".repeat(4);
        Path prompts = folder.resolve("prompts.jsonl");
        Files.writeString(prompts, JSON.createObjectNode().put("prompt", text) + "\n");
        String length = "has 100 tokens, and the model's context of 64 must hold them and the answer";

        assertThat(refusal("generate", model, "--prompt", text, "--kv-cache-dtype", "int8"))
                .contains("--prompt " + length);
        assertThat(refusal("generate", model, "--prompts", prompts, "--json", folder.resolve("out.jsonl")))
                .contains(prompts + ": line 1: " + length);
        List<Object> perplexity = List.of(
                "eval", "perplexity", model, "--dataset", folder.resolve("text.txt"), "--kv-cache-dtype", "int8");
        assertThat(refusal(Stream.concat(perplexity.stream(), Stream.of("--context", 65))
                        .toArray()))
                .contains("--context 65: with --kv-cache-dtype int8 the model takes 64 tokens at most");
        TinyModel.run(
                Stream.concat(perplexity.stream(), Stream.of("--context", 64)).toArray());
    }

    private static String refusal(Object... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(Stream.of(arguments).map(Object::toString).toArray(String[]::new)))
                .isEqualTo(ExitCode.WRONG_USAGE);
        return terminal.err();
    }
}
