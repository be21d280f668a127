"""A Kubernetes cluster without nodes: the real API server, etcd and controllers, and a kubelet that
runs demo pods as processes.

network.py  a network of its own in which every address of the pods' range is this machine's
api.py      the API over http.client: typed paths, errors, watches
cluster.py  etcd, kube-apiserver and kube-controller-manager as processes; who may come in
kubelet.py  plays scheduler and kubelet for all nodes, with faults as asked
pod.py      one pod of the kubelet's: its steps from Pending to its end
gateway.py  slotgate before a service of it, and its clients
cutter.py   between slotgate and the API server: cuts watches in the middle of an event
hall.py     a thousand pods that the test plays itself; their work is that of one process
objects.py  the manifests that tests begin with
"""
