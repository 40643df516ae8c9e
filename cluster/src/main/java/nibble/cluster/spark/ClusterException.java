package nibble.cluster.spark;

import org.jspecify.annotations.Nullable;

/** Reports that a cluster could not be used, or that its work failed for good; says where and what to do. */
public class ClusterException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public ClusterException(String message) {
        super(message);
    }

    public ClusterException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
