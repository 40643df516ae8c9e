package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.provider.Arguments;

/** Ways to damage a copy of a model, as downloads, other programs and attackers do. */
final class InputDamage {
    private static final String SHARD = "model-00002-of-00003.safetensors";
    private static final ObjectMapper JSON = new ObjectMapper();
    /** A change to a model's folder. */
    interface Damage extends Consumer<Path> {}

    private InputDamage() {}

    static Arguments damage(String what, Damage damage, String... message) {
        return Arguments.of(what, damage, List.of(message));
    }

    static Damage file(String name, UnaryOperator<byte[]> change) {
        return model -> {
            Path file = model.resolve(name);
            try {
                Files.write(file, change.apply(Files.readAllBytes(file)));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }

    static Damage shard(UnaryOperator<byte[]> change) {
        return file(SHARD, change);
    }

    static Damage replace(String name, String found, String instead) {
        return file(
                name,
                bytes -> replaced(new String(bytes, StandardCharsets.UTF_8), found, instead)
                        .getBytes(StandardCharsets.UTF_8));
    }

    /** A change of as many bytes to the header of the shard. */
    static Damage header(String found, String instead) {
        return shard(bytes -> replaced(new String(bytes, StandardCharsets.ISO_8859_1), found, instead)
                .getBytes(StandardCharsets.ISO_8859_1));
    }

    static String replaced(String text, String found, String instead) {
        assertThat(text).contains(found);
        return text.replace(found, instead);
    }

    static byte[] longHeader(byte[] shard) {
        ByteBuffer.wrap(shard).order(ByteOrder.LITTLE_ENDIAN).putLong(0, 50_000_000);
        return shard;
    }

    /** Sets element [1, 9] of the shard's first down_proj, whose rows have 768 elements. */
    static Damage element(int bits) {
        return shard(bytes -> {
            ByteBuffer shard = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            int headerBytes = Math.toIntExact(shard.getLong(0));
            try {
                for (var tensor : JSON.readTree(bytes, 8, headerBytes).properties()) {
                    if (tensor.getKey().endsWith("1.mlp.down_proj.weight")) {
                        int begin = tensor.getValue().get("data_offsets").get(0).asInt();
                        shard.putShort(8 + headerBytes + begin + 2 * (768 + 9), (short) bits);
                    }
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return bytes;
        });
    }

    static Damage config(Consumer<ObjectNode> change) {
        return file("config.json", bytes -> {
            try {
                ObjectNode json = (ObjectNode) JSON.readTree(bytes);
                change.accept(json);
                return JSON.writeValueAsBytes(json);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    static Damage removal(String... names) {
        return model -> {
            try {
                for (String name : names) {
                    Files.delete(model.resolve(name));
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }

    static void toPyTorch(Path model) {
        try {
            for (String name : BadInputTest.names(model)) {
                if (name.contains("safetensors")) {
                    Files.delete(model.resolve(name));
                }
            }
            Files.writeString(model.resolve("pytorch_model.bin"), "PK");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
