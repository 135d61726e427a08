from keras import ops


def split_heads(tokens, num_heads):
    """(B, N, D) -> (B, H, N, key_dim)."""
    batch_size, length, hidden_dim = ops.shape(tokens)
    shape = (batch_size, length, num_heads, hidden_dim // num_heads)
    return ops.transpose(ops.reshape(tokens, shape), (0, 2, 1, 3))


def join_heads(heads):
    """(B, H, N, key_dim) -> (B, N, D)."""
    batch_size, num_heads, length, key_dim = ops.shape(heads)
    shape = (batch_size, length, num_heads * key_dim)
    return ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), shape)


def split_groups(queries, num_groups):
    """(B, G * Q, D) -> (B * G, Q, D): a sequence for each group, if any."""
    if num_groups is None or queries is None:
        return queries
    batch_size, length, hidden_dim = ops.shape(queries)
    if isinstance(length, int) and length % num_groups:
        raise ValueError(
            "`num_groups` must divide the number of queries. Received: "
            f"num_groups={num_groups}, {length} queries"
        )
    shape = (batch_size * num_groups, length // num_groups, hidden_dim)
    return ops.reshape(queries, shape)


def check_groups(num_groups, query_mask):
    """Refuses groups beside a mask, which would be for all queries."""
    if num_groups is not None and query_mask is not None:
        raise ValueError(
            "`query_mask` must be None with `num_groups`; put the groups into "
            f"the mask. Received: num_groups={num_groups}"
        )
