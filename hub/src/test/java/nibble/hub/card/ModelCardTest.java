package nibble.hub.card;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The card says what the checkpoint and the measurements say, and nothing else. */
class ModelCardTest {
    private static final String CONFIG = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
         "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 24,
         "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "torch_dtype": "float16",
         "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true, "version": "gemm"}}
        """;

    @TempDir
    Path folder;

    @BeforeEach
    void checkpoint() throws IOException {
        Files.writeString(folder.resolve("config.json"), CONFIG);
        Files.write(folder.resolve("model.safetensors"), new byte[1_234_567]);
    }

    private CardRequest request(
            List<Path> eval, List<Path> baseline, Optional<Path> original, Optional<Path> template) {
        return new CardRequest(
                folder,
                "me/Tiny-AWQ",
                "main",
                Optional.of("meta/Tiny"),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.of("### User:\n{prompt}"),
                eval,
                baseline,
                original,
                template);
    }

    private String card() {
        return ModelCard.render(request(List.of(), List.of(), Optional.empty(), Optional.empty()));
    }

    private Path eval(String name, double perplexity, int windows) throws IOException {
        return Files.writeString(
                folder.resolve(name),
                "{\"perplexity\": %s, \"recipe\": \"gptq\", \"context_tokens\": 2048, \"windows\": %d, \"windows_in_dataset\": 197, \"dataset\": \"wikitext2\", \"dataset_sha256\": \"ab\"}"
                        .formatted(perplexity, windows));
    }

    @Test
    void without_measurements_no_figure_is_stated() {
        String card = card();
        assertThat(card)
                .startsWith("---\n"
                        + "base_model: \"meta/Tiny\"\n"
                        + "base_model_relation: quantized\n"
                        + "model_creator: \"meta\"\n"
                        + "model_name: \"Tiny\"\n")
                .contains(
                        "prompt_template: \"### User:\\n{prompt}\"",
                        "quantized_by: \"me\"",
                        "pipeline_tag: text-generation")
                .contains(
                        "| main | awq (gemm) | 4 | 64 | none | - | 1.23 MB |",
                        "Nothing was measured.",
                        "vllm serve me/Tiny-AWQ\n",
                        "AWQ weights of [meta/Tiny]")
                .doesNotContain(
                        "license:",
                        "language:",
                        "perplexity,",
                        "Original model card",
                        "{{",
                        "{%",
                        "null",
                        "inference",
                        "model-index");
    }

    /** Every kind of folder under its own name, tags and loaders, and under nobody else's. */
    @ParameterizedTest(name = "{0} {1}")
    @CsvSource(
            delimiter = '|',
            value = {
                "awq|awq|Tiny - AWQ|awq, autoawq, vllm, 4-bit, llama, conversational, nibble|scales those input"
                        + " channels|AutoAWQForCausalLM|plain rounding was",
                "awq|rtn|Tiny - 4-bit by plain rounding|autoawq, rtn, vllm, 4-bit, llama, conversational, nibble|About"
                        + " plain rounding|AutoAWQForCausalLM|input channels",
                "gptq|awq|Tiny - 4-bit, GPTQ format|gptq, gptqmodel, awq, 4-bit, llama, conversational, nibble|in"
                        + " another layout than AutoAWQ's|GPTQModel.load(\"me/Tiny-AWQ\")|vllm serve",
                "gptq|rtn|Tiny - 4-bit, GPTQ format|gptq, gptqmodel, rtn, 4-bit, llama, conversational, nibble|no"
                        + " channel was scaled|vLLM since 0.17 refuses|AutoAWQ",
                "gptq|''|Tiny - 4-bit, GPTQ format|gptq, gptqmodel, 4-bit, llama, conversational, nibble|is not"
                        + " recorded here|GPTQModel.load|AutoAWQ",
                "compressed-tensors|awq|Tiny - 4-bit, compressed-tensors|compressed-tensors, awq, vllm, 4-bit, llama,"
                        + " conversational, nibble|input channels|vllm serve me/Tiny-AWQ|AutoAWQForCausalLM",
                "compressed-tensors|rtn|Tiny - 4-bit, compressed-tensors|compressed-tensors, rtn, vllm, 4-bit, llama,"
                        + " conversational, nibble|About plain rounding|pip install compressed-tensors|AWQ (activation",
            })
    void a_card_says_what_the_folder_is(
            String format, String method, String title, String tags, String about, String loader, String not)
            throws IOException {
        Files.writeString(
                folder.resolve("config.json"),
                CONFIG.replaceAll(
                        "\\{\"quant_method.*",
                        switch (format) {
                            case "gptq" ->
                                "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 64, \"sym\": false,"
                                        + " \"checkpoint_format\": \"gptq_v2\"}}";
                            case "compressed-tensors" ->
                                "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\","
                                        + " \"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 4,"
                                        + " \"symmetric\": false, \"strategy\": \"group\", \"group_size\": 64}}}}}";
                            default ->
                                "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 64, \"zero_point\": true,"
                                        + " \"version\": \"gemm\"}}";
                        }));
        if (!method.isEmpty()) {
            Files.writeString(folder.resolve("quantization_report.json"), "{\"method\": \"" + method + "\"}");
        }
        String card = card();
        assertThat(card).contains("\n# " + title + "\n", about, loader).doesNotContain(not);
        CardForm.requireWellFormed(card);
        Path written = Files.writeString(folder.resolve("README.md"), card);
        assertThat(ModelCard.metadata(written))
                .containsEntry("base_model", "meta/Tiny")
                .containsEntry("base_model_relation", "quantized")
                .containsEntry("library_name", "transformers")
                .containsEntry("pipeline_tag", "text-generation")
                .containsEntry("tags", List.of(tags.split(", ")))
                .doesNotContainKeys("inference", "license");
    }

    /** AutoAWQ takes no revision: its lines would load another branch. */
    @Test
    void a_card_of_a_branch_names_only_loaders_that_take_one() {
        String card = ModelCard.render(new CardRequest(
                folder,
                "me/Tiny-AWQ",
                "awq-64g",
                Optional.of("meta/Tiny"),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                List.of(),
                List.of(),
                Optional.empty(),
                Optional.empty()));
        assertThat(card)
                .contains("vllm serve me/Tiny-AWQ --revision awq-64g", "revision=\"awq-64g\"")
                .doesNotContain("AutoAWQForCausalLM");
        CardForm.requireWellFormed(card);
    }

    @Test
    void the_reports_origin_names_the_base_model_and_its_license() throws IOException {
        Files.writeString(
                folder.resolve("quantization_report.json"),
                "{\"method\": \"awq\", \"source\": {\"base_model\": \"org/Base-1B\", \"revision\": \"" + "a".repeat(40)
                        + "\", \"license\": [\"other\"], \"license_name\": \"their-own\", \"license_link\":"
                        + " \"LICENSE\", \"language\": [\"no\"]}}");
        CardRequest nothingSaid = new CardRequest(
                folder,
                "me/x",
                "main",
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                List.of(),
                List.of(),
                Optional.empty(),
                Optional.empty());
        String card = ModelCard.render(nothingSaid);
        assertThat(card).contains("# Base-1B - AWQ", "(https://huggingface.co/org/Base-1B), revision `aaaa");
        assertThat(ModelCard.metadata(Files.writeString(folder.resolve("README.md"), card)))
                .containsEntry("base_model", "org/Base-1B")
                .containsEntry("license", "other")
                .containsEntry("license_name", "their-own")
                .containsEntry("license_link", "LICENSE")
                .containsEntry("language", List.of("no"));
    }

    @Test
    void figures_are_in_the_model_index_too() throws IOException {
        Path both = Files.writeString(folder.resolve("awq.json"), tasks(0.7025, "ab"));
        Path card = Files.writeString(
                folder.resolve("README.md"),
                ModelCard.render(request(
                        List.of(eval("p.json", 5.60123, 40), both), List.of(), Optional.empty(), Optional.empty())));
        assertThat(ModelCard.metadata(card).get("model-index").toString())
                .contains(
                        "name=Tiny-AWQ",
                        "type=Salesforce/wikitext",
                        "config=wikitext-2-raw-v1",
                        "type=perplexity, value=5.6012",
                        "perplexity (gptq, 2048 tokens, first 40 of 197 windows)",
                        "type=allenai/ai2_arc",
                        "type=acc_norm, value=70.25")
                .doesNotContain("virology");
    }

    @Test
    void a_dense_conversion_is_no_quantized_model() throws IOException {
        Files.writeString(folder.resolve("config.json"), CONFIG.replaceAll(",\\s*\"quantization_config.*", "}"));
        Files.writeString(
                folder.resolve("conversion_report.json"),
                "{\"from\": \"dense BF16\", \"to\": \"safetensors F16\", \"source\": {\"license\": [\"apache-2.0\"]}}");
        assertThat(card())
                .contains(
                        "# Tiny - F16 safetensors",
                        "converted from: dense BF16",
                        "Nothing was quantized.",
                        "Converted by: me",
                        "license: \"apache-2.0\"")
                .doesNotContain("base_model_relation", "quantized_by", "AWQ (", "4-bit");
        Files.writeString(
                folder.resolve("conversion_report.json"),
                "{\"from\": \"awq (gemm), 4 bits, group size 64\", \"to\": \"x\"}");
        assertThat(card()).contains("base_model_relation: quantized", "as exact as those, not as the original");
    }

    @Test
    void figures_stand_beside_the_baselines_of_the_same_recipe_only() throws IOException {
        Path awq = eval("awq.json", 5.60123, 197);
        Path same = eval("fp16.json", 5.47, 197);
        Path other = eval("fp16-40.json", 5.5, 40);
        assertThat(ModelCard.render(request(List.of(awq), List.of(other, same), Optional.empty(), Optional.empty())))
                .contains("| wikitext2 | perplexity, gptq | 2048 | all 197 | 5.4700 | 5.6012 | +0.1312 |");
        assertThat(ModelCard.render(request(List.of(awq), List.of(other), Optional.empty(), Optional.empty())))
                .contains("| all 197 | not measured | 5.6012 |  |")
                .doesNotContain("5.5000");
    }

    private static String tasks(double acc, String sha256) {
        return """
            {"schema": "nibble-eval-tasks-1", "preset": "leaderboard-v1", "tasks": [
              {"task": "arc_challenge", "metrics": [{"metric": "acc_norm", "value": %1$s, "stderr": 0.0125, "documents": 1172}],
               "recipe": {"fewshot": 25, "bos": false, "dataset": {"sha256": "%2$s"}}},
              {"task": "hellaswag", "metrics": [{"metric": "acc", "value": 0.25, "documents": 1000}],
               "recipe": {"fewshot": 10, "bos": false, "dataset": {"sha256": "aa", "part_of": 10042}}},
              {"task": "mmlu_virology", "group": "mmlu", "metrics": [{"metric": "acc", "value": 0.111, "documents": 166}],
               "recipe": {"fewshot": 5, "bos": false, "dataset": {"sha256": "cc"}}}],
             "groups": [{"group": "mmlu", "metric": "acc", "average": "mean_of_tasks", "value": 0.5, "tasks": 57, "documents": 14042},
                        {"group": "leaderboard_musr", "metric": "acc_norm", "average": "normalized", "value": 0.1234, "tasks": 1,
                         "documents": 10042, "members": ["hellaswag"]}]}
            """.formatted(acc, sha256);
    }

    private static final String TASK_ROW = "| arc_challenge | acc_norm | leaderboard-v1 | 25 | 1172 | ";

    @Test
    void tasks_stand_beside_the_baselines_of_the_same_requests_only() throws IOException {
        Path awq = Files.writeString(folder.resolve("awq.json"), tasks(0.7025, "ab"));
        Path same = Files.writeString(folder.resolve("fp16.json"), tasks(0.711, "ab"));
        Path other = Files.writeString(folder.resolve("other.json"), tasks(0.711, "ff"));
        assertThat(ModelCard.render(request(List.of(awq), List.of(same), Optional.empty(), Optional.empty())))
                .contains(TASK_ROW + "71.10 ± 1.25 | 70.25 ± 1.25 | -0.85 |")
                .contains("| hellaswag | acc | leaderboard-v1 | 10 | 1000 of 10042 | 25.00 | 25.00 | +0.00 |")
                .contains("| mmlu | acc, mean of 57 subjects | leaderboard-v1 | 5 | 14042 | 50.00 | 50.00 | +0.00 |")
                .contains("| leaderboard_musr | acc_norm, normalized | leaderboard-v1 | 10 | 10042 of 10042 | 12.34 |")
                .doesNotContain("virology", "Nothing was measured");
        assertThat(ModelCard.render(request(List.of(awq), List.of(other), Optional.empty(), Optional.empty())))
                .contains(TASK_ROW + "not measured | 70.25 ± 1.25 |  |")
                .doesNotContain("71.10");
    }

    @Test
    void grades_of_mt_bench_stand_with_their_judge_and_prompts() throws IOException {
        Path grades = Files.writeString(folder.resolve("grades.json"), """
            {"schema": "nibble-mt-bench-1", "model": "m", "judge": "gpt-4", "prompts": "data/judge_prompts.jsonl",
             "score": 7.236, "first_turn": 7.5, "second_turn": 6.972, "judgments": 160}
            """);
        assertThat(ModelCard.render(request(List.of(grades), List.of(), Optional.empty(), Optional.empty())))
                .contains(
                        "MT-Bench: 7.24 of 10 (first turn 7.50, second turn 6.97; 160 judgments by gpt-4 with the"
                                + " prompts of judge_prompts.jsonl).",
                        "lmsys/mt_bench")
                .doesNotContain("Nothing was measured");
    }

    @Test
    void a_comparison_holds_both_models_and_their_divergence() throws IOException {
        Path both = Files.writeString(
                folder.resolve("both.json"),
                "{\"schema\": \"nibble-eval-comparison-1\", \"model\": " + tasks(0.7025, "ab") + ", \"baseline\": "
                        + tasks(0.711, "ab")
                        + ", \"divergence\": {\"dataset\": \"wikitext2\", \"windows\": 8, \"context_tokens\": 2048,"
                        + " \"mean_kl\": 0.0123456, \"same_likeliest\": 0.955}}");
        assertThat(ModelCard.render(request(List.of(both), List.of(), Optional.empty(), Optional.empty())))
                .contains(TASK_ROW + "71.10 ± 1.25 | 70.25 ± 1.25 | -0.85 |")
                .contains("8 windows of 2048 tokens: mean KL divergence from the original 0.01235 nats, the same"
                        + " likeliest token in 95.50 %.");
        Path unknown = Files.writeString(folder.resolve("unknown.json"), "{\"schema\": \"nibble-eval-tasks-9\"}");
        assertThatThrownBy(() ->
                        ModelCard.render(request(List.of(unknown), List.of(), Optional.empty(), Optional.empty())))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("unknown.json")
                .hasMessageContaining("nibble-eval-tasks-9");
    }

    @Test
    void the_reports_calibration_and_errors_are_shown() throws IOException {
        Files.writeString(
                folder.resolve("quantization_report.json"),
                "{\"method\": \"awq\", \"calibration\": {\"description\": \"wikitext-2 train\", \"tokens_sha256\":"
                    + " \"cafe\", \"blocks\": 128, \"tokens\": 524288, \"tokens_found\": 9}, \"mean_relative_error\":"
                    + " 0.0123, \"mean_rtn_relative_error\": 0.02, \"tuning\": {\"steps\": 128, \"kept\": true,"
                    + " \"divergence_before\": 0.030868908, \"divergence_after\": 0.0297210}}");
        assertThat(card())
                .contains(
                        "| wikitext-2 train | 4096 |",
                        "524288 tokens in 128 sequences",
                        "`cafe`",
                        "1.23 %; plain rounding's would be 2.00 %",
                        "tuned by 128 steps.",
                        "0.03087 nats before, 0.02972 after")
                .doesNotContain("Nothing was measured");
    }

    @Test
    void the_original_card_is_below_with_its_license_and_languages_and_its_braces_are_text() throws IOException {
        Path original = Files.writeString(
                folder.resolve("original.md"),
                "---\n"
                        + "license: llama2\n"
                        + "language:\n"
                        + "- en\n"
                        + "- 'de'\n"
                        + "tags: [a, b]\n"
                        + "---\n"
                        + "# Tiny\n\n"
                        + "{{ bos_token }} {% if x %}\n");
        assertThat(ModelCard.render(request(List.of(), List.of(), Optional.of(original), Optional.empty())))
                .contains("license: \"llama2\"\nlanguage:\n- \"en\"\n- \"de\"\n")
                .endsWith("# Original model card\n\n# Tiny\n\n{{ bos_token }} {% if x %}\n");
    }

    @Test
    void a_template_of_ones_own_is_used_and_its_errors_have_a_line() throws IOException {
        Path own = Files.writeString(
                folder.resolve("own.jinja"), "{{ front_matter }}\n{{ model_name }} at {{ bits }} bits\n");
        assertThat(ModelCard.render(request(List.of(), List.of(), Optional.empty(), Optional.of(own))))
                .endsWith("---\nTiny at 4 bits\n");
        Files.writeString(own, "fine\n{{ no_such_value }}\n");
        assertThatThrownBy(() -> ModelCard.render(request(List.of(), List.of(), Optional.empty(), Optional.of(own))))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("own.jinja: line 2")
                .hasMessageContaining("no_such_value");
    }

    @Test
    void a_file_that_is_no_measurement_is_refused() throws IOException {
        Path wrong = Files.writeString(folder.resolve("wrong.json"), "{\"score\": 1}");
        assertThatThrownBy(
                        () -> ModelCard.render(request(List.of(wrong), List.of(), Optional.empty(), Optional.empty())))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("wrong.json")
                .hasMessageContaining("nibble eval perplexity");
    }

    @Test
    void an_unquantized_model_has_no_such_card() throws IOException {
        Files.writeString(folder.resolve("config.json"), CONFIG.replaceAll(",\\s*\"quantization_config.*", "}"));
        assertThatThrownBy(this::card)
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("is not quantized");
    }
}
