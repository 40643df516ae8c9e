package nibble.checkpoint.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.Mutations;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged safetensors headers and indexes: read, or refused as bad checkpoints; never anything else, and never at a
 * price.
 */
@Timeout(600)
class SafetensorsFuzzTest {
    private static final int ROUNDS = 3000;

    /** What one reading may allocate: some hundred times the file, which is about a kilobyte. */
    private static final long MOST_BYTES = 4 << 20;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void safetensors_headers() throws IOException {
        Path file = RawSafetensors.write(
                folder.resolve("whole.safetensors"),
                List.of(
                        new TensorSpec("model.embed_tokens.weight", DType.F16, Shape.of(4, 6)),
                        new TensorSpec("model.norm.weight", DType.F32, Shape.of(6)),
                        new TensorSpec("b", DType.I64, Shape.of())));
        byte[] whole = Files.readAllBytes(file);
        int header = 8 + (whole[0] & 0xff) + ((whole[1] & 0xff) << 8);
        Path damaged = folder.resolve("damaged.safetensors");
        int[] refused = new int[1];
        for (long seed = 0; seed < ROUNDS; seed++) {
            byte[] bytes = Mutations.of(whole, header, new Random(seed));
            Files.write(damaged, bytes);
            Mutations.within(seed, MOST_BYTES, refused, () -> {
                try (Arena arena = Arena.ofConfined()) {
                    SafetensorsFile opened = SafetensorsFile.open(damaged, arena);
                    for (String name : opened.names()) {
                        // Every tensor lies in the file, or this throws.
                        assertThat(opened.tensor(name).data().byteSize()).isLessThanOrEqualTo(bytes.length);
                    }
                }
            });
        }
        assertThat(refused[0]).as("of " + ROUNDS + " damaged headers").isBetween(ROUNDS / 2, ROUNDS);
    }

    @Test
    void index_json() throws IOException {
        byte[] whole = """
            {"metadata": {"total_size": 4096},
             "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors",
                            "model.norm.weight": "model-00002-of-00002.safetensors"}}
            """.getBytes(StandardCharsets.UTF_8);
        Path damaged = folder.resolve(SafetensorsIndex.FILE_NAME);
        int[] refused = new int[1];
        for (long seed = 0; seed < ROUNDS; seed++) {
            Files.write(damaged, Mutations.of(whole, whole.length, new Random(seed)));
            Mutations.within(
                    seed,
                    MOST_BYTES,
                    refused,
                    () -> SafetensorsIndex.read(damaged)
                            .weightMap()
                            .values()
                            // Whatever is accepted stays in the folder.
                            .forEach(name -> assertThat(
                                            folder.resolve(name).normalize().getParent())
                                    .isEqualTo(folder)));
        }
        assertThat(refused[0]).as("of " + ROUNDS + " damaged indexes").isBetween(ROUNDS / 4, ROUNDS);
    }
}
