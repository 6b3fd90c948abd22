{{- define "heddle.controlPlane" -}}heddle-control-plane{{- end }}
{{- define "heddle.nodeProxy" -}}heddle-node-proxy{{- end }}

{{/* Selectors cannot be changed later: name, instance and component, nothing else. */}}
{{- define "heddle.selector" -}}
app.kubernetes.io/name: heddle
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "heddle.labels" -}}
{{- $own := include "heddle.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "heddle" -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- mergeOverwrite (dict) (.more | default dict) .root.Values.commonLabels $own | toYaml -}}
{{- end }}

{{/* A pod of ours outside the mesh: it does not carry its own control traffic. `more` comes from the values. */}}
{{- define "heddle.podLabels" -}}
{{- $more := mergeOverwrite (dict) (.more | default dict) (dict "heddle.dev/mesh" (.mesh | default "disabled")) -}}
{{ include "heddle.labels" (dict "root" .root "component" .component "more" $more) }}
{{- end }}

{{- define "heddle.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository -}}
{{- if .Values.image.digest -}}@{{ .Values.image.digest }}{{- else -}}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end }}

{{- define "heddle.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Pod and container of hooks and tests, which need nothing of their node. */}}
{{- define "heddle.harmlessPod" -}}
{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
{{- end }}
{{- define "heddle.harmless" -}}
{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}
{{- define "heddle.hookResources" -}}
{requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 128Mi}}
{{- end }}

{{/* A binding of a role to the component's service account of the same name. */}}
{{- define "heddle.subject" -}}
[{kind: ServiceAccount, name: {{ .name }}, namespace: {{ .root.Release.Namespace }}}]
{{- end }}

{{/* ADDRESS:PORT of the cluster's resolvers: as told, or of the DNS Service under one of the names that it commonly has. */}}
{{- define "heddle.resolvers" -}}
{{- $found := .Values.nodeProxy.resolvers -}}
{{- range $name := list "kube-system/kube-dns" "kube-system/coredns" "kube-system/rke2-coredns-rke2-coredns" "openshift-dns/dns-default" -}}
  {{- if not $found -}}
    {{- $parts := splitList "/" $name -}}
    {{- range ((lookup "v1" "Service" (first $parts) (last $parts)).spec).clusterIPs -}}
      {{- $found = append $found (printf (ternary "[%s]:53" "%s:53" (contains ":" .)) .) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{ join "," ($found | default (list "10.96.0.10:53")) }}
{{- end }}

{{/* Whether a kind is served, or its definition comes with this release: "here", "coming" or nothing. */}}
{{- define "heddle.gatewayApi" -}}
{{- if .Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1/GatewayClass" -}}here
{{- else if and .Values.crds.install (ne (toString (index .Values "heddle-crds").gatewayApi.install) "false") -}}coming
{{- end -}}
{{- end }}
{{- define "heddle.ownKinds" -}}
{{- if .Capabilities.APIVersions.Has "heddle.dev/v1alpha1/AuthorizationPolicy" -}}here{{- else if .Values.crds.install -}}coming{{- end -}}
{{- end }}
