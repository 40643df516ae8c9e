package nibble.convert;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;

/** A two-layer grouped-query Llama of random fp16 weights, written as a checkpoint. */
public final class RandomCheckpoint {
    private static final String CONFIG = """
        {
          "architectures": ["LlamaForCausalLM"],
          "model_type": "llama",
          "hidden_size": 64,
          "intermediate_size": 128,
          "num_hidden_layers": 2,
          "num_attention_heads": 4,
          "num_key_value_heads": 2,
          "vocab_size": 48,
          "max_position_embeddings": 64,
          "rms_norm_eps": 1e-05,
          "hidden_act": "silu",
          "tie_word_embeddings": false,
          "bos_token_id": 1,
          "eos_token_id": 2,
          "torch_dtype": "float16",
          "x_kept": {"as": "it is"}
        }
        """;

    private RandomCheckpoint() {}

    /** Writes the checkpoint into a new folder. */
    public static Path write(Path folder) throws IOException {
        return write(folder, Map.of(), CONFIG);
    }

    /** The same with single elements replaced: tensor name to the fp16 bits of its element 5. */
    public static Path write(Path folder, Map<String, Short> elements) throws IOException {
        return write(folder, elements, CONFIG);
    }

    public static Path write(Path folder, Map<String, Short> elements, String configJson) throws IOException {
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.json"), configJson);
        Files.writeString(folder.resolve("generation_config.json"), "{\"do_sample\":   true}");
        Files.writeString(folder.resolve("tokenizer_config.json"), "{ }\n");
        ModelConfig config = ModelConfig.read(folder.resolve("config.json"));
        List<TensorSpec> specs = new ArrayList<>();
        for (TensorSpec tensor : config.tensors()) {
            specs.add(new TensorSpec(tensor.name(), DType.F16, tensor.shape()));
        }
        Random random = new Random(11);
        try (ShardedWriter writer = new ShardedWriter(folder, ShardPlan.of(specs, 100_000))) {
            for (TensorSpec spec : specs) {
                short[] halves = new short[(int) spec.shape().elements()];
                boolean norm = spec.name().contains("norm");
                for (int i = 0; i < halves.length; i++) {
                    float wild = i % 13 == 0 ? 4f : 1f;
                    float value = (float) random.nextGaussian() * wild * 0.1f;
                    halves[i] = Float.floatToFloat16(norm ? 1f + value * 2 : value);
                }
                Short replaced = elements.get(spec.name());
                if (replaced != null) {
                    halves[5] = replaced;
                }
                writer.write(spec.name(), MemorySegment.ofArray(halves));
            }
            writer.finish();
        }
        return folder;
    }

    public static Checkpoint open(Path folder) throws IOException {
        return Checkpoint.open(write(folder));
    }

    public static String config() {
        return CONFIG;
    }
}
