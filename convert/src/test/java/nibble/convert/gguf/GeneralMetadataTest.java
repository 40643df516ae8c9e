package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufFile;
import nibble.convert.BundledModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is expected is what convert_hf_to_gguf.py of llama.cpp (commit de3ff81) writes for the same folder or name. */
class GeneralMetadataTest {
    private static final Path MODEL = BundledModel.FOLDER;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    private Map<String, Object> general(Path model, GgufMix mix) {
        Path out = temp.resolve("out-" + model.getFileName() + mix);
        try (Checkpoint source = Checkpoint.open(model);
                Arena arena = Arena.ofConfined()) {
            GgufExporter.export(source, out, mix, 2, done -> {});
            Path file = out.resolve(model.getFileName() + "-" + mix + ".gguf");
            Map<String, Object> found = new TreeMap<>(GgufFile.open(file, arena).values());
            found.keySet().removeIf(key -> !key.startsWith("general."));
            return found;
        }
    }

    @Test
    void a_plain_folder_has_the_converters_keys_and_no_others() {
        assertThat(general(MODEL, GgufMix.F16))
                .isEqualTo(Map.of(
                        "general.architecture", "llama",
                        "general.type", "model",
                        "general.name", "Wiki 7m",
                        "general.basename", "wiki",
                        "general.size_label", "7M",
                        "general.file_type", 1L,
                        "general.quantization_version", 2L));
        assertThat(general(MODEL, GgufMix.Q4_0))
                .containsEntry("general.quantized_by", "Nibble")
                .containsEntry("general.file_type", 2L);
    }

    @Test
    void a_card_and_a_generation_config_are_taken_over() throws IOException {
        Path model = Files.createDirectories(temp.resolve("Tiny-Wiki-7M-Instruct-v0.2"));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Files.writeString(model.resolve("README.md"), """
            ---
            license: other # theirs
            license_name: wiki-license
            license_link: https://example.org/LICENSE
            language:
            - en
            - no
            tags: [wiki, tiny]
            pipeline_tag: text-generation
            base_model: SomeOrg/tiny-wiki-7M-v0.1
            datasets:
            - wikimedia/wikipedia
            model_creator: Someone
            ---
            # x
            """);
        Files.writeString(
                model.resolve("generation_config.json"),
                "{\"do_sample\": true, \"temperature\": 0.6, \"top_p\": 0.9, \"top_k\": 40, \"repetition_penalty\":"
                        + " 1.1, \"eos_token_id\": 2}");
        Map<String, Object> expected = new TreeMap<>();
        expected.put("general.architecture", "llama");
        expected.put("general.type", "model");
        expected.put("general.name", "Wiki 7m");
        expected.put("general.author", "Someone");
        expected.put("general.version", "v0.2");
        expected.put("general.finetune", "Instruct");
        expected.put("general.basename", "wiki");
        expected.put("general.size_label", "7M");
        expected.put("general.license", "other");
        expected.put("general.license.name", "wiki-license");
        expected.put("general.license.link", "https://example.org/LICENSE");
        expected.put("general.base_model.count", 1L);
        expected.put("general.base_model.0.name", "Tiny Wiki 7M v0.1");
        expected.put("general.base_model.0.organization", "SomeOrg");
        expected.put("general.base_model.0.version", "v0.1");
        expected.put("general.base_model.0.repo_url", "https://huggingface.co/SomeOrg/tiny-wiki-7M-v0.1");
        expected.put("general.dataset.count", 1L);
        expected.put("general.dataset.0.name", "Wikipedia");
        expected.put("general.dataset.0.organization", "Wikimedia");
        expected.put("general.dataset.0.repo_url", "https://huggingface.co/wikimedia/wikipedia");
        expected.put("general.tags", List.of("wiki", "tiny", "text-generation"));
        expected.put("general.languages", List.of("en", "no"));
        expected.put("general.sampling.temp", (double) 0.6f);
        expected.put("general.sampling.top_p", (double) 0.9f);
        expected.put("general.sampling.top_k", 40L);
        expected.put("general.sampling.penalty_repeat", (double) 1.1f);
        expected.put("general.file_type", 1L);
        expected.put("general.quantization_version", 2L);
        assertThat(general(model, GgufMix.F16)).isEqualTo(expected);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            value = {
                "meta-llama/Llama-2-7b-hf|6738415616|Llama 2 7b Hf|meta-llama|Llama-2|hf||7B|6.7B",
                "Llama-3.2-1B-Instruct|1235814400|Llama 3.2 1B Instruct||Llama-3.2|Instruct||1B|1.2B",
                "HuggingFaceTB/SmolLM2-135M-Instruct|134515008|SmolLM2 135M"
                        + " Instruct|HuggingFaceTB|SmolLM2|Instruct||135M|135M",
                "Qwen/Qwen2.5-0.5B|494032768|Qwen2.5 0.5B|Qwen|Qwen2.5|||0.5B|494M",
                "Mistral-7B-Instruct-v0.3|7248023552|Mistral 7B Instruct v0.3||Mistral|Instruct|v0.3|7B|7.2B",
                "mistralai/Mixtral-8x7B-v0.1|46702792704|Mixtral 8x7B v0.1|mistralai|Mixtral||v0.1|8x7B|47B",
                "Phi-3-mini-4k-instruct|3821079552|Phi 3 Mini 4k Instruct||Phi-3|4k-instruct||mini|3.8B",
                "gemma-2b|2506172416|Gemma 2b||gemma|||2B|2.5B",
                "bigscience/bloom-7b1|7069016064|Bloom 7b1|bigscience|bloom|||7.1B|7.1B",
                "Yarn-Llama-2-7b-128k|6738415616|Yarn Llama 2 7b 128k||Yarn-Llama-2|128k||7B|6.7B",
                "some model|7|Some Model||||||0.01K",
                "wiki-7m|6819072|Wiki 7m||wiki|||7M|6.8M",
                "x|7|X||||||0.01K",
                "Meta-Llama-3-8B-Q4_K|8030261248|Meta Llama 3 8B Q4_K||Meta-Llama-3|||8B|8.0B",
                "TinyLlama-1.1B-Chat-v1.0|1100048384|TinyLlama 1.1B Chat v1.0||TinyLlama|Chat|v1.0|1.1B|1.1B",
                "codellama/CodeLlama-7b-Python-hf|6738546688|CodeLlama 7b Python"
                        + " Hf|codellama|CodeLlama|Python-hf||7B|6.7B",
            })
    void a_name_is_taken_apart_as_the_converter_does(
            String id,
            long parameters,
            String title,
            String organization,
            String base,
            String finetune,
            String version,
            String size,
            String label) {
        ModelNameParts parts = ModelNameParts.of(id, parameters);
        assertThat(ModelNameParts.title(parts.name())).isEqualTo(title);
        assertThat(parts.organization()).isEqualTo(organization);
        assertThat(parts.basename()).isEqualTo(base);
        assertThat(parts.finetune()).isEqualTo(finetune);
        assertThat(parts.version()).isEqualTo(version);
        assertThat(parts.sizeLabel()).isEqualTo(size);
        assertThat(GeneralMetadata.sizeLabel(parameters)).isEqualTo(label);
    }
}
