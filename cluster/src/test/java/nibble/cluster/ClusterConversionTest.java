package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.DType;
import nibble.cluster.convert.ClusterConversion;
import nibble.cluster.convert.ConversionRequest;
import nibble.convert.BundledModel;
import nibble.convert.CheckpointConverter;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.ConversionOptions;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What executors convert is what one machine converts, byte for byte. */
@ExtendWith(LocalExecutors.class)
class ClusterConversionTest {
    private static final Path MODEL = BundledModel.FOLDER;

    @TempDir
    Path temp;

    private ConversionOptions options(String out) {
        return ConversionOptions.of(temp.resolve(out), 4_000_000, _ -> {});
    }

    private void spread(ConversionRequest request) {
        try (Checkpoint source = Checkpoint.open(MODEL)) {
            ClusterConversion.convert(
                    LocalExecutors.cluster(),
                    request,
                    source,
                    temp.resolve("shared").toUri().toString(),
                    options("spread"));
        }
    }

    @Test
    void shards_of_safetensors_are_the_same() throws IOException {
        Target target = new Target.Safetensors(Optional.of(DType.BF16));
        try (Checkpoint source = Checkpoint.open(MODEL)) {
            CheckpointConverter.convert(source, target, options("here"));
        }

        spread(ConversionRequest.folder(MODEL.toString(), target));

        assertThat(FolderHashes.of(temp.resolve("spread")))
                .isEqualTo(FolderHashes.of(temp.resolve("here")))
                .hasSizeGreaterThan(4);
        assertThat(temp.resolve("shared")).doesNotExist();
    }

    @Test
    void a_gguf_file_in_k_quants_is_the_same() throws IOException {
        try (Checkpoint source = Checkpoint.open(MODEL)) {
            GgufExporter.export(source, GgufMix.Q4_K_M, Optional.empty(), options("here"));
        }

        spread(ConversionRequest.gguf(MODEL.toString(), GgufMix.Q4_K_M, null));

        assertThat(FolderHashes.of(temp.resolve("spread"))).isEqualTo(FolderHashes.of(temp.resolve("here")));
    }
}
