package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.model.ModelConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** config.json with damage: its bytes, and its values with the JSON left whole. */
class ConfigFuzzTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** What one reading may allocate: some hundred times the file, which is two kilobytes. */
    private static final long MOST_BYTES = 4 << 20;

    private static final List<String> CONFIGS = List.of(TinyCheckpoint.CONFIG, """
        {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu", "hidden_size": 64,
         "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 8,
         "vocab_size": 99, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "sliding_window": 64,
         "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 128},
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 128}, "rope_theta": 500000.0,
         "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention"], "eos_token_id": [1, 2],
         "dtype": "bfloat16"}
        """, """
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 96,
         "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": null, "vocab_size": 99,
         "rms_norm_eps": 1e-6, "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 0,
         "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups":
          {"group_0": {"targets": ["Linear"], "input_activations": null, "weights": {"num_bits": 4, "type": "int",
          "symmetric": false, "strategy": "group", "group_size": 32}}}, "ignore": ["lm_head"]}}
        """, """
        {"architectures": ["GemmaForCausalLM"], "model_type": "gemma", "hidden_size": 64, "intermediate_size": 96,
         "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 1, "vocab_size": 99, "rms_norm_eps": 1e-6,
         "hidden_activation": "gelu_pytorch_tanh", "rope_theta": 10000,
         "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": true, "desc_act": false}}
        """);

    /** Values of every type and of awkward size, put in the place of others. */
    private static final List<String> VALUES = List.of(
            "null",
            "true",
            "false",
            "0",
            "-1",
            "1",
            "2",
            "7",
            "1e308",
            "-1e-308",
            "1e400",
            "4294967296",
            "9223372036854775807",
            "18446744073709551616",
            "1234567890123456789012345678901234567890",
            "0.1",
            "\"\"",
            "\"llama\"",
            "\"float16\"",
            "\"\\u0000\"",
            "[]",
            "[1]",
            "[\"a\",null]",
            "[[[[[[[[[[1]]]]]]]]]]",
            "{}",
            "{\"a\":{\"b\":{\"c\":[{}]}}}",
            "{\"rope_type\":\"yarn\",\"factor\":2}",
            "{\"full_attention\":{\"rope_type\":\"default\"}}",
            "\"4\"",
            "[" + "0,".repeat(500) + "0]",
            "\"" + "x".repeat(5000) + "\"");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void bytes_and_pieces() throws IOException {
        Path damaged = folder.resolve("config.json");
        int rounds = Mutations.rounds(3000);
        int[] refused = new int[1];
        for (int seed = 0; seed < rounds; seed++) {
            Random random = new Random(seed);
            byte[] whole = CONFIGS.get(random.nextInt(CONFIGS.size())).getBytes(StandardCharsets.UTF_8);
            Files.write(damaged, Mutations.of(whole, whole.length, random));
            Mutations.within(seed, MOST_BYTES, refused, () -> read(damaged));
        }
        assertThat(refused[0]).as("of " + rounds).isBetween(rounds / 4, rounds);
    }

    @Test
    void values_keys_and_nesting() throws IOException {
        Path damaged = folder.resolve("config.json");
        int rounds = Mutations.rounds(3000);
        int[] refused = new int[1];
        for (int seed = 0; seed < rounds; seed++) {
            Random random = new Random(seed);
            ObjectNode config = (ObjectNode) JSON.readTree(CONFIGS.get(random.nextInt(CONFIGS.size())));
            for (int i = random.nextInt(3); i >= 0; i--) {
                change(config, random);
            }
            String text = config.toString();
            if (random.nextInt(20) == 0) {
                // A key twice, and the whole inside itself.
                text = text.substring(0, text.length() - 1) + ",\"hidden_size\":64,\"text_config\":" + text + "}";
            }
            Files.writeString(damaged, text);
            Mutations.within(seed, MOST_BYTES, refused, () -> read(damaged));
        }
        assertThat(refused[0]).as("of " + rounds).isBetween(rounds / 4, rounds);
    }

    /** What is accepted is a model whose tensors can be listed. */
    private static void read(Path file) {
        ModelConfig config = ModelConfig.read(file);
        assertThat(config.layers()).isBetween(1, 10_000);
        if (config.layers() < 20) {
            assertThat(config.tensors()).isNotEmpty();
        }
        assertThat(config.heads() % config.kvHeads()).isZero();
    }

    private static void change(JsonNode node, Random random) throws IOException {
        List<JsonNode> inside = new ArrayList<>();
        node.forEach(child -> {
            if (child.isContainerNode() && !child.isEmpty()) {
                inside.add(child);
            }
        });
        if (!inside.isEmpty() && random.nextInt(3) == 0) {
            change(inside.get(random.nextInt(inside.size())), random);
            return;
        }
        JsonNode value = JSON.readTree(VALUES.get(random.nextInt(VALUES.size())));
        if (node instanceof ObjectNode object) {
            List<String> keys = new ArrayList<>();
            object.fieldNames().forEachRemaining(keys::add);
            String key = keys.get(random.nextInt(keys.size()));
            switch (random.nextInt(4)) {
                case 0 -> object.remove(key);
                case 1 -> object.set(key, object.deepCopy());
                default -> object.set(key, value);
            }
        } else if (node instanceof ArrayNode array) {
            array.set(random.nextInt(array.size()), value);
        }
    }
}
