//! Directed graphs as flat arrays: strongly connected components, and paths with few visible edges.
//!
//! Components by Tarjan (1972), without recursion, so that a chain of a million nodes does not overflow the stack.

use crate::intern::NONE;

/// An edge's end, and the number of the thing that made it; edges of cost 0 are free in a path.
#[derive(Clone, Copy, Debug)]
pub struct Arc {
    pub to: u32,
    pub label: u32,
    pub cost: u8,
}

pub struct Digraph {
    starts: Vec<u32>,
    arcs: Vec<Arc>,
}

impl Digraph {
    /// From edges that can be listed twice: once to count, once to place.
    pub fn of(nodes: usize, edges: impl Fn(&mut dyn FnMut(u32, Arc))) -> Digraph {
        let mut starts = vec![0u32; nodes + 1];
        edges(&mut |from, _| starts[from as usize + 1] += 1);
        (0..nodes).for_each(|node| starts[node + 1] += starts[node]);
        let mut next = starts.clone();
        let blank = Arc {
            to: NONE,
            label: NONE,
            cost: 0,
        };
        let mut arcs = vec![blank; starts[nodes] as usize];
        edges(&mut |from, arc| {
            let slot = &mut next[from as usize];
            arcs[*slot as usize] = arc;
            *slot += 1;
        });
        Digraph { starts, arcs }
    }

    fn out(&self, node: u32) -> &[Arc] {
        &self.arcs[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// Per node the number of its strongly connected component.
    pub fn components(&self) -> Vec<u32> {
        let nodes = self.starts.len() - 1;
        let (mut order, mut low) = (vec![NONE; nodes], vec![0u32; nodes]);
        let (mut component, mut found, mut count) = (vec![NONE; nodes], 0, 0);
        let (mut open, mut path): (Vec<u32>, Vec<(u32, u32)>) = (Vec::new(), Vec::new());
        for root in 0..nodes as u32 {
            if order[root as usize] != NONE {
                continue;
            }
            path.push((root, self.starts[root as usize]));
            while let Some((node, at)) = path.pop() {
                let n = node as usize;
                if order[n] == NONE {
                    (order[n], low[n]) = (count, count);
                    count += 1;
                    open.push(node);
                }
                let mut at = at;
                let mut deeper = false;
                while at < self.starts[n + 1] {
                    let to = self.arcs[at as usize].to as usize;
                    if order[to] == NONE {
                        path.push((node, at)); // look at this edge again when `to` is done
                        path.push((to as u32, self.starts[to]));
                        deeper = true;
                        break;
                    }
                    if component[to] == NONE {
                        low[n] = low[n].min(low[to]);
                    }
                    at += 1;
                }
                if !deeper && low[n] == order[n] {
                    while component[n] == NONE {
                        let member = open.pop().expect("the node itself is open");
                        component[member as usize] = found;
                    }
                    found += 1;
                }
            }
        }
        component
    }

    /// A cheapest path as (node, arc out of it) pairs, if there is one. Empty if `from` is `to`.
    pub fn path(&self, from: u32, to: u32) -> Option<Vec<(u32, Arc)>> {
        let nodes = self.starts.len() - 1;
        let mut came: Vec<Option<(u32, Arc)>> = vec![None; nodes];
        let mut done = vec![false; nodes];
        let (mut now, mut later) = (vec![from], Vec::new());
        while !now.is_empty() {
            while let Some(node) = now.pop() {
                if std::mem::replace(&mut done[node as usize], true) {
                    continue;
                }
                for &arc in self.out(node).iter().filter(|arc| arc.to != from) {
                    let free = arc.cost == 0;
                    let slot = &mut came[arc.to as usize];
                    if done[arc.to as usize] || (slot.is_some() && !free) {
                        continue;
                    }
                    *slot = Some((node, arc));
                    if free { &mut now } else { &mut later }.push(arc.to);
                }
            }
            if done[to as usize] {
                break;
            }
            now = std::mem::take(&mut later);
        }
        let mut path = Vec::new();
        let mut at = to;
        while at != from {
            let (before, arc) = came[at as usize]?;
            path.push((before, arc));
            at = before;
        }
        path.reverse();
        Some(path)
    }
}
