package nibble.engine.batch;

/** Says how a text goes on after its last id. */
sealed interface Choice {
    /** Continues with a new token. */
    record Next(ScoredToken token) implements Choice {}

    record End(Ending ending) implements Choice {}

    record Failed(RuntimeException cause) implements Choice {}
}
