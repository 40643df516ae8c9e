package nibble.datasets.evaluation;

import java.util.List;

/**
 * Holds the documents of a set, in its order.
 *
 * @param source {@code bundled}, or the file they were read from
 * @param sha256 of the source's bytes (uncompressed where they are bundled), lower-case hex
 */
public record EvaluationDocuments(EvaluationSet set, String source, String sha256, List<EvaluationDocument> documents) {
    public EvaluationDocuments {
        documents = List.copyOf(documents);
    }

    /** Returns whether these are all documents of the published part. */
    public boolean whole() {
        return documents.size() == set.published();
    }
}
