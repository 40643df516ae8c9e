package nibble.calibrate.journal;

import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.engine.backend.Workers;
import nibble.files.digest.Sha256;

/**
 * Hashes original weights with SHA-256: over the hashes of the tensors, one after the other, so that tensors are hashed
 * side by side. Taken of what is read anyway, a layer at a time: hashing whole shards first would read a large model
 * twice.
 */
public final class SourceDigest {
    private SourceDigest() {}

    public static String layer(Checkpoint source, int layer, Workers workers) {
        return of(
                source,
                source.config().tensors(layer).stream().map(TensorSpec::name).toList(),
                workers);
    }

    static String of(Checkpoint source, List<String> names, Workers workers) {
        byte[][] hashes = new byte[names.size()][];
        workers.forEach(
                hashes.length,
                i -> hashes[i] = new Sha256()
                        .add(source.tensor(names.get(i)).data())
                        .hex()
                        .getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        Sha256 all = new Sha256();
        for (byte[] hash : hashes) {
            all.add(hash);
        }
        return all.hex();
    }
}
