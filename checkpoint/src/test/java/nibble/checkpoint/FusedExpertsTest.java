package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import org.junit.jupiter.api.Test;

class FusedExpertsTest {
    private static final Path FILE = Path.of("model.safetensors");

    private final SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();

    private void add(String name, long... shape) {
        TensorSpec spec = new TensorSpec(name, DType.F16, Shape.of(shape));
        MemorySegment data = MemorySegment.ofArray(new byte[(int) spec.bytes()]);
        tensors.put(name, new StoredTensor(spec, FILE, "F16", spec.bytes(), () -> data));
    }

    private SequencedMap<String, StoredTensor> split() throws IOException {
        ObjectNode json = (ObjectNode) new ObjectMapper()
                .readTree(
                        "{\"model_type\":\"mixtral\",\"hidden_size\":4,\"intermediate_size\":3,\"num_hidden_layers\":1,"
                            + "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"vocab_size\":8,\"rms_norm_eps\":1e-6,"
                            + "\"num_local_experts\":2}");
        return FusedExperts.split(ModelConfig.of(Path.of("config.json"), json), tensors);
    }

    @Test
    void an_expert_that_is_fused_and_there_by_itself_too_is_refused() throws IOException {
        add("model.layers.0.mlp.gate.weight", 2, 4);
        add("model.layers.0.mlp.experts.down_proj", 2, 4, 3);
        assertThat(split().sequencedKeySet())
                .containsExactly(
                        "model.layers.0.block_sparse_moe.gate.weight",
                        "model.layers.0.block_sparse_moe.experts.0.w2.weight",
                        "model.layers.0.block_sparse_moe.experts.1.w2.weight");
        add("model.layers.0.block_sparse_moe.experts.1.w2.weight", 4, 3);
        assertThatThrownBy(this::split)
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll("model.safetensors", "experts.1.w2.weight is there twice");
        tensors.remove("model.layers.0.block_sparse_moe.experts.1.w2.weight");
        add("model.layers.0.block_sparse_moe.gate.weight", 2, 4);
        assertThatThrownBy(this::split).hasMessageContaining("block_sparse_moe.gate.weight is there twice");
    }
}
