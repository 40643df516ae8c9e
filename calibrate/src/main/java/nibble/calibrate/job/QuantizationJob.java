package nibble.calibrate.job;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.datasets.TokenBlocks;
import nibble.files.digest.Sha256;

/**
 * Holds everything that determines the output's bytes, apart from the backend's arithmetic.
 *
 * @param source the original; borrowed
 * @param blocks calibration tokens: needed by all but RTN, where only output errors are measured on them
 */
public record QuantizationJob(Checkpoint source, Optional<TokenBlocks> blocks, QuantizeOptions options) {
    public QuantizationJob {
        if (options.method() != Method.RTN && blocks.isEmpty()) {
            throw new IllegalArgumentException("method " + options.method().label() + " needs calibration tokens");
        }
    }

    /** Hashes the ids as little-endian 32-bit integers, block after block. */
    public static String tokensSha256(TokenBlocks blocks) {
        Sha256 sha256 = new Sha256();
        for (int[] block : blocks.blocks()) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * block.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(block);
            sha256.add(bytes.array());
        }
        return sha256.hex();
    }
}
