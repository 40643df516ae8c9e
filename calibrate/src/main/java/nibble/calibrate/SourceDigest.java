package nibble.calibrate;

import java.util.List;
import nibble.convert.Checkpoint;
import nibble.convert.Sha256;
import nibble.convert.TensorSpec;
import nibble.engine.Workers;

/**
 * SHA-256 of original weights: over the hashes of the tensors, one after the other, so that tensors are hashed side by side.
 * Taken of what is read anyway, a layer at a time: hashing whole shards first would read a large model twice.
 */
final class SourceDigest {
    private SourceDigest() {}

    static String layer(Checkpoint source, int layer, Workers workers) {
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
