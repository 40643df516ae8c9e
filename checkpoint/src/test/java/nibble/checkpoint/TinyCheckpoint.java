package nibble.checkpoint;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.safetensors.RawSafetensors;
import nibble.checkpoint.safetensors.SafetensorsIndex;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;

/** A two-layer Llama of 32-wide vectors, as a folder that tests then damage. */
public final class TinyCheckpoint {
    static final String CONFIG = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
         "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": 24, "max_position_embeddings": 128, "rms_norm_eps": 1e-05,
         "rope_theta": 10000.0, "rope_scaling": null, "torch_dtype": "float16", "bos_token_id": 1, "eos_token_id": 2}
        """;

    private TinyCheckpoint() {}

    public static ModelConfig config(Path folder) throws IOException {
        return config(folder, json -> {});
    }

    /** Writes config.json with a change and reads it. */
    public static ModelConfig config(Path folder, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json = (ObjectNode) new ObjectMapper().readTree(CONFIG);
        change.accept(json);
        Path file = folder.resolve("config.json");
        Files.writeString(file, json.toString());
        return ModelConfig.read(file);
    }

    /** The whole checkpoint in one file. */
    public static Path write(Path folder) throws IOException {
        RawSafetensors.write(folder.resolve("model.safetensors"), config(folder).tensors());
        return folder;
    }

    /** The whole checkpoint in two shards with an index. */
    static Path writeSharded(Path folder) throws IOException {
        List<TensorSpec> specs = config(folder).tensors();
        StringBuilder index = new StringBuilder("{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
        for (int shard = 0; shard < 2; shard++) {
            List<TensorSpec> part = shard == 0 ? specs.subList(0, 9) : specs.subList(9, specs.size());
            String name = "model-0000" + (shard + 1) + "-of-00002.safetensors";
            RawSafetensors.write(folder.resolve(name), part);
            for (TensorSpec spec : part) {
                index.append(shard == 0 && spec == part.getFirst() ? "" : ",");
                index.append('"')
                        .append(spec.name())
                        .append("\": \"")
                        .append(name)
                        .append('"');
            }
        }
        Files.writeString(
                folder.resolve(SafetensorsIndex.FILE_NAME), index.append("}}").toString());
        return folder;
    }

    /** Tensors of the checkpoint as AutoAWQ's GEMM layout has them. */
    static List<TensorSpec> awqTensors(ModelConfig config, int group) {
        List<TensorSpec> specs = new ArrayList<>();
        for (TensorSpec spec : config.tensors()) {
            if (!spec.name().contains("_proj")) {
                specs.add(spec);
                continue;
            }
            String module = spec.name().replace(".weight", "");
            long out = spec.shape().dim(0);
            long in = spec.shape().dim(1);
            long groups = group == -1 ? 1 : in / group;
            specs.add(new TensorSpec(module + ".qweight", DType.I32, Shape.of(in, out / 8)));
            specs.add(new TensorSpec(module + ".qzeros", DType.I32, Shape.of(groups, out / 8)));
            specs.add(new TensorSpec(module + ".scales", DType.F16, Shape.of(groups, out)));
        }
        return specs;
    }
}
